import { digest64 } from './digest.ts';

/** Pages per region when two sides compare RAM: 4 MiB, so 8 KiB of page digests a region. */
export const regionPages = 1024;

export const regionCountOf = (pageCount: number): number => Math.ceil(pageCount / regionPages);

/**
 * Digest of each region from the digests of its pages, page 0 first: XXH64 over their bytes,
 * little endian. The last region may be short.
 */
export function regionDigestsOf(pageDigests: BigUint64Array): BigUint64Array {
  const digests = new BigUint64Array(regionCountOf(pageDigests.length));
  for (let region = 0; region < digests.length; region++) {
    const first = region * regionPages;
    const covered = pageDigests.subarray(first, first + regionPages);
    digests[region] = digest64(
      new Uint8Array(covered.buffer, covered.byteOffset, covered.byteLength),
    );
  }
  return digests;
}

/** Indices at which two lists of digests differ. Throws if they are not of one length. */
export function differingDigests(ours: BigUint64Array, theirs: BigUint64Array): number[] {
  if (ours.length !== theirs.length) throw new Error('digest lists of two lengths');
  const differing: number[] = [];
  for (let i = 0; i < ours.length; i++) if (ours[i] !== theirs[i]) differing.push(i);
  return differing;
}

/** Bytes of digests, 8 bytes each, as a list: a view. They must be aligned. */
export const asDigests = (bytes: Uint8Array): BigUint64Array =>
  new BigUint64Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 8);
