import type { Epoch } from '../../shared/ids.ts';
import type { EmitEvent } from '../../shared/observe/events.ts';
import type { CodecChoice, CodecPolicy } from '../pipeline/codec-policy.ts';
import { linkDefault } from '../pipeline/compression-costs.ts';
import type { EncodeStats } from '../pipeline/encode-stats.ts';
import { LinkMeter } from './link-meter.ts';

/** The codec of each epoch of a session, by what the link and the cores have shown so far. */
export class EpochCodecs {
  readonly #policy: CodecPolicy;
  readonly #emit: EmitEvent;
  readonly #link = new LinkMeter(linkDefault);
  #told: string | undefined;

  /** `policy` outlives the session: what it learnt of codecs holds in the next one too. */
  constructor(policy: CodecPolicy, emit: EmitEvent) {
    this.#policy = policy;
    this.#emit = emit;
  }

  begin(nowMs: number): CodecChoice {
    this.#link.begin(nowMs);
    const choice = this.#policy.choose(this.#link.state);
    const { name, why } = this.#policy.verdict;
    if (name !== this.#told) this.#emit({ kind: 'codec', codec: name, why });
    this.#told = name;
    return choice;
  }

  sent(epoch: Epoch, wireBytes: number, stats: EncodeStats, nowMs: number): void {
    const { bytesIn, bytesOut } = stats.general;
    this.#policy.note({ bytesIn, bytesOut, generalMs: stats.generalMs });
    this.#link.sent(epoch, wireBytes, nowMs);
  }

  acknowledged(epoch: Epoch, nowMs: number): void {
    this.#link.acknowledged(epoch, nowMs);
  }
}
