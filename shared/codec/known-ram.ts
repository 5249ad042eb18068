import type { CodecSettings } from './codec-settings.ts';

/**
 * The whole RAM of a guest at one instant, as its digests say it. Two hosts that know the same RAM,
 * under the same secret, hold the same bytes: neither has to read them to find that out.
 */
export interface KnownRam {
  readonly settings: CodecSettings;
  /** Page 0 first. */
  readonly pageDigests: BigUint64Array;
  /** The RAM digest over them. */
  readonly ramDigest: bigint;
}
