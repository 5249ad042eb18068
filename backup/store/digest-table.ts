import type { CodecSettings } from '../../shared/codec/codec-settings.ts';
import type { KnownRam } from '../../shared/codec/known-ram.ts';
import { PageDigester } from '../../shared/codec/page-digester.ts';
import type { GuestMemory } from '../../shared/memory/guest-memory.ts';
import { DataRuns } from './data-runs.ts';
import { pagesPerTurn, Turns } from './turns.ts';

/**
 * The digest of each page of RAM, under the hash and the secret of one session, and the RAM
 * digest over them, which both sides compare. Moved forward with each page that is written.
 *
 * Invariant: whenever the event loop turns, an entry is the digest of what the store wrote to
 * that page last, or found there: RAM that says something else was damaged.
 */
export class DigestTable {
  readonly settings: CodecSettings;
  /** Digest of each page, page 0 first: a live view, for reading. */
  readonly pageDigests: BigUint64Array;
  readonly #digester: PageDigester;
  /** The same, as bytes. */
  readonly #bytes: Uint8Array;
  readonly #before = new BigUint64Array(pagesPerCall);
  readonly #found = new BigUint64Array(pagesPerTurn);
  #root = 0n;

  private constructor(settings: CodecSettings, digester: PageDigester) {
    this.settings = settings;
    this.#digester = digester;
    this.pageDigests = new BigUint64Array(settings.pageCount);
    this.#bytes = asBytes(this.pageDigests);
  }

  /** Digests all of `memory`, which nobody may write meanwhile. The event loop turns. */
  static async ofRam(settings: CodecSettings, memory: GuestMemory): Promise<DigestTable> {
    const table = new DigestTable(settings, await PageDigester.create(settings));
    const runs = new DataRuns(memory);
    const turns = new Turns();
    for (let first = 0; first < settings.pageCount; first += pagesPerTurn) {
      const count = Math.min(pagesPerTurn, settings.pageCount - first);
      const into = table.#bytes.subarray(first * digestBytes, (first + count) * digestBytes);
      table.#digester.digestRange(runs, first, count, into);
      await turns.after(count);
    }
    table.#root = table.#digester.foldRoot(table.#bytes);
    return table;
  }

  /** Of RAM that was digested page by page elsewhere, under the same settings. */
  static async ofKnown({ settings, pageDigests }: KnownRam): Promise<DigestTable> {
    const table = new DigestTable(settings, await PageDigester.create(settings));
    table.pageDigests.set(pageDigests);
    table.#root = table.#digester.foldRoot(table.#bytes);
    return table;
  }

  /** RAM as it is now; its list of digests is a live view. */
  get known(): KnownRam {
    return { settings: this.settings, pageDigests: this.pageDigests, ramDigest: this.#root };
  }

  /** The RAM digest. */
  get root(): bigint {
    return this.#root;
  }

  /** What `root` will be when these pages have been set. No page may be named twice. */
  rootWith(pages: Uint32Array, count: number, digests: Uint8Array): bigint {
    let root = this.#root;
    for (let first = 0; first < count; first += pagesPerCall) {
      const some = pages.subarray(first, Math.min(first + pagesPerCall, count));
      for (let i = 0; i < some.length; i++) this.#before[i] = this.pageDigests[some[i]!]!;
      const before = asBytes(this.#before);
      const after = digests.subarray(first * digestBytes);
      root = this.#digester.updateRoot(root, some, some.length, before, after);
    }
    return root;
  }

  /** Takes over the digests of pages that were written. No page may be named twice. */
  set(pages: Uint32Array, count: number, digests: Uint8Array): void {
    this.#root = this.rootWith(pages, count, digests);
    const view = new DataView(digests.buffer, digests.byteOffset, digests.byteLength);
    for (let i = 0; i < count; i++) {
      this.pageDigests[pages[i]!] = view.getBigUint64(i * digestBytes, true);
    }
  }

  /**
   * Digests `count` neighbouring pages (at most `pagesPerTurn`) and compares. Where an entry is
   * wrong it takes over what RAM says. Returns the pages that differed. `runs` is over `memory`
   * and may be older than the last write.
   */
  check(memory: GuestMemory, runs: DataRuns, first: number, count: number): number[] {
    const found = asBytes(this.#found).subarray(0, count * digestBytes);
    const entries = this.#bytes.subarray(first * digestBytes, (first + count) * digestBytes);
    for (const source of [runs, memory]) {
      this.#digester.digestRange(source, first, count, found);
      if (Buffer.compare(entries, found) === 0) return [];
    }
    const differing: number[] = [];
    for (let i = 0; i < count; i++) {
      if (this.#found[i] !== this.pageDigests[first + i]) differing.push(first + i);
    }
    entries.set(found);
    this.#root = this.#digester.foldRoot(this.#bytes);
    return differing;
  }
}

export const digestBytes = 8;
/** Pages whose digests are gathered at once. */
const pagesPerCall = 4096;

const asBytes = (digests: BigUint64Array): Uint8Array =>
  new Uint8Array(digests.buffer, digests.byteOffset, digests.byteLength);
