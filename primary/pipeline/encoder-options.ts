import type { CodecSettings, GeneralCodec } from '../../shared/codec/codec-settings.ts';

/** What an encoder is made for. */
export interface EncoderOptions extends CodecSettings {
  readonly generalCodec: GeneralCodec;
  /** All of each captured page is sent, whatever of it changed: what Remus and LLM do. */
  readonly wholePages?: boolean;
  /** Zero blocks and references to equal blocks. */
  readonly sharing: boolean;
  /**
   * For encoders in threads: the file that the guest has as RAM. Without it nothing is shared with
   * pages that are neither captured nor kept.
   */
  readonly ramFile?: string | undefined;
  readonly compression: boolean;
  /** Differences from kept pages; needs `compression` and `keptBytes`. */
  readonly delta: boolean;
  /** Pages captured at once. */
  readonly captureBytes: number;
  /** Copies of hot pages, for `delta` and `sharing` with content from before the epoch. */
  readonly keptBytes: number;
  /** Largest payload: 16 KiB to 8 MiB. */
  readonly chunkBytes: number;
  /** What the link carries: the faster it is, the less is worth compressing. */
  readonly linkBytesPerSecond?: number;
}
