import type { Epoch } from '../../shared/ids.ts';
import type { CodecChoice } from './codec-policy.ts';
import type { EncoderOptions, EncoderSpace, ShardPlace } from './epoch-encoder.ts';
import type { EpochSummary } from './page-encoder.ts';

/** What an encoder's thread starts with. */
export interface EncoderTask extends EncoderWork {
  readonly shard: ShardPlace;
  /** `outputCount` buffers of `options.chunkBytes`, side by side, in which chunks are made. */
  readonly outputs: SharedArrayBuffer;
  readonly outputCount: number;
  /** Where the kernels were not run in this process before: done first, and then forgotten. */
  readonly warmUp: EncoderWork | undefined;
}

export interface EncoderWork {
  readonly options: EncoderOptions;
  readonly space: EncoderSpace;
}

/** Done in order. Those with an answer are asked one at a time. */
export type ToEncoder =
  | { readonly kind: 'adopt-zeros'; readonly first: number; readonly end: number }
  | { readonly kind: 'forget'; readonly pages: Uint32Array }
  | { readonly kind: 'begin'; readonly epoch: Epoch; readonly choice: CodecChoice | undefined }
  /** Chunks, as long as there are free outputs; after the last one `done`. */
  | { readonly kind: 'encode'; readonly count: number }
  /** The chunk in this output was sent. */
  | { readonly kind: 'free'; readonly output: number }
  | EncoderQuestion;

export type EncoderQuestion =
  | { readonly kind: 'adopt'; readonly count: number }
  | { readonly kind: 'adopt-digests'; readonly digests: BigUint64Array }
  | { readonly kind: 'differing'; readonly count: number }
  | { readonly kind: 'finish' }
  /** Everything before it is done. */
  | { readonly kind: 'settle' };

export type FromEncoder =
  | { readonly kind: 'ready' }
  | { readonly kind: 'chunk'; readonly output: number; readonly bytes: number }
  | { readonly kind: 'encoded' }
  | { readonly kind: 'answer'; readonly answer: EncoderAnswer };

export interface EncoderAnswer {
  /** To `differing`. */
  readonly pages?: readonly number[];
  /** To `finish`. */
  readonly summary?: EpochSummary;
}
