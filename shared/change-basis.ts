import { type Epoch, epoch, type SessionId, sessionId } from './ids.ts';

/** Size of the stretches of a disk in which changes are remembered. */
export const changeRegionBytes = 16 * 2 ** 20;

export const changeRegionCount = (diskBytes: number): number =>
  Math.ceil(diskBytes / changeRegionBytes);

/** An epoch of which a host knows in how far its disk differs from the disk of that epoch. */
export interface ChangeBasis {
  readonly session: SessionId;
  /** 0: what a session began with that brings a disk level of which no epoch is held. */
  readonly epoch: Epoch;
  /**
   * False: the disk is that of a guest that has gone on in this session, and everything that was
   * changed since the epoch is remembered. True: the disk was exactly that of the epoch, and what
   * was changed since was not in the session. With epoch 0, true is the side that follows.
   */
  readonly isExact: boolean;
}

/** What a host knows of one disk: outside of `regions` it is the disk of `basis`. */
export interface KnownChanges {
  readonly basis: ChangeBasis;
  /** Indices of regions, rising. */
  readonly regions: Uint32Array;
}

/**
 * The regions in which the disks of two hosts can differ; undefined where that does not follow from
 * what they know. Outside of what either has changed, a disk that has gone on in a session is that of
 * every epoch from its basis on; an exact one is that of its basis alone.
 */
export function differingRegions(
  one: KnownChanges | null,
  other: KnownChanges | null,
): Uint32Array | undefined {
  if (one === null || other === null || !meet(one.basis, other.basis)) return undefined;
  return Uint32Array.from(new Set([...one.regions, ...other.regions])).sort();
}

function meet(one: ChangeBasis, other: ChangeBasis): boolean {
  if (one.session !== other.session) return false;
  // Two that follow one synchronisation are not known to have followed it equally far.
  if (one.isExact && other.isExact) return one.epoch === other.epoch && !beginsSync(one);
  // Two that have gone on in one session are not known to be of one guest.
  if (!one.isExact && !other.isExact) return false;
  const [goneOn, exact] = one.isExact ? [other, one] : [one, other];
  return goneOn.epoch <= exact.epoch;
}

/**
 * What is known of a disk from a synchronisation. One side follows: since it began, nothing but its
 * changes was made there. The other one leads, and says where that may not have what is here.
 */
export const syncBasis = (session: SessionId, side: 'follows' | 'leads'): ChangeBasis =>
  basisOf(session, 0, side === 'follows');

export const beginsSync = ({ epoch: number }: ChangeBasis): boolean => number === 0;

/** As a thread or the wire carries it. */
export const basisOf = (session: string, number: number, isExact: boolean): ChangeBasis => ({
  ...{ session: sessionId(session), epoch: epoch(number), isExact },
});
