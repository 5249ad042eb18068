/**
 * XXH64 of byte strings: digests of epochs, frames and files. The kernels hash blocks and pages
 * (`kernels.ts`); this is for everything else. The only file that imports `xxhash-wasm`.
 */
import xxhash, { type XXHash } from 'xxhash-wasm';

const api = await xxhash();

/** XXH64 of `bytes` in one go. */
export function digest64(bytes: Uint8Array, seed = 0n): bigint {
  return api.h64Raw(bytes, seed);
}

/** XXH64 of bytes that come in pieces: how they are cut does not change the value. */
export class EpochDigest {
  #state: XXHash<bigint> = api.create64();

  update(bytes: Uint8Array): void {
    this.#state.update(bytes);
  }

  /** The digest of everything so far; more may follow. */
  value(): bigint {
    return this.#state.digest();
  }

  reset(): void {
    this.#state = api.create64();
  }
}
