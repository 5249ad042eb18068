import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { systemCode, UnderstudyError } from '../../shared/errors.ts';
import { mapAnonymous } from '../../shared/native/libc.ts';
import type { MappedRange } from '../../shared/native/memory-map.ts';
import type { PageSet } from '../../shared/page-set.ts';
import { lost, ramMappings, type TrackedGuest, unavailable } from './tracked-guest.ts';
import type { DirtyTracker } from './tracker.ts';

/**
 * Written pages by the soft-dirty bit of /proc/PID/pagemap, cleared by /proc/PID/clear_refs
 * (Linux: Documentation/admin-guide/mm/soft-dirty.rst; needs CONFIG_MEM_SOFT_DIRTY).
 * Reading and clearing are two steps, so a write between them would be lost: `collect` is for a
 * paused guest only. RAM must not be swapped out either: a page of a file loses its bit then.
 */
export class SoftDirtyTracker implements DirtyTracker {
  readonly kind = 'soft-dirty';
  readonly collectsLive = false;
  readonly #pagemap: number;
  readonly #clearRefs: number;
  readonly #mappings: readonly MappedRange[];
  readonly #entries = new Uint8Array(entriesPerRead * entryBytes);

  /** Throws `E_TRACKER_UNAVAILABLE` with the reason. */
  static open(guest: TrackedGuest): SoftDirtyTracker {
    if (!kernelHasSoftDirty()) {
      const reason = 'this kernel keeps no soft-dirty bit';
      const hint = "It needs CONFIG_MEM_SOFT_DIRTY; Debian's own kernel has it.";
      throw unavailable('soft-dirty', reason, hint);
    }
    const mappings = ramMappings(guest, 'soft-dirty');
    let pagemap: number | undefined;
    try {
      pagemap = openSync(`/proc/${guest.pid}/pagemap`, 'r');
      const clearRefs = openSync(`/proc/${guest.pid}/clear_refs`, 'w');
      return new SoftDirtyTracker(pagemap, clearRefs, mappings);
    } catch (cause) {
      if (pagemap !== undefined) closeSync(pagemap);
      const reason = `the pagemap of process ${guest.pid} can't be opened: ${systemCode(cause)}`;
      throw unavailable('soft-dirty', reason, 'Run the agent as root.', cause);
    }
  }

  private constructor(pagemap: number, clearRefs: number, mappings: readonly MappedRange[]) {
    this.#pagemap = pagemap;
    this.#clearRefs = clearRefs;
    this.#mappings = mappings;
  }

  arm(): void {
    this.#guarded(() => clear(this.#clearRefs));
  }

  collect(into: PageSet): void {
    this.#guarded(() => {
      for (const mapping of this.#mappings) this.#read(mapping, into);
      clear(this.#clearRefs);
    });
  }

  close(): void {
    closeSync(this.#pagemap);
    closeSync(this.#clearRefs);
  }

  #read(mapping: MappedRange, into: PageSet): void {
    const pageCount = (mapping.end - mapping.start) / 4096;
    const firstPage = mapping.fileOffset / 4096;
    for (let done = 0; done < pageCount; ) {
      const wanted = Math.min(entriesPerRead, pageCount - done) * entryBytes;
      const position = (mapping.start / 4096 + done) * entryBytes;
      const read = readSync(this.#pagemap, this.#entries, 0, wanted, position);
      const count = Math.floor(read / entryBytes);
      if (count === 0) throw lost('soft-dirty', 'the process has no memory any more');
      addSoftDirty(this.#entries, count, firstPage + done, into);
      done += count;
    }
  }

  #guarded(act: () => void): void {
    try {
      act();
    } catch (error) {
      const expected = error instanceof UnderstudyError || systemCode(error) === undefined;
      throw expected ? error : lost('soft-dirty', error);
    }
  }
}

/**
 * Adds the pages whose bit is set in `count` pagemap entries (u64 little-endian each); the first
 * entry is page `firstPage`. Bit 55: "pte is soft-dirty".
 */
export function addSoftDirty(
  entries: Uint8Array,
  count: number,
  firstPage: number,
  into: PageSet,
): void {
  // Bit 55 of the entry is bit 7 of its byte 6.
  for (let i = 0; i < count; i++) {
    if ((entries[i * entryBytes + 6]! & 0x80) !== 0) into.add(firstPage + i);
  }
}

/** Tries it on a page of this process: cleared, then written, the bit must be 0, then 1. */
export function kernelHasSoftDirty(): boolean {
  supported ??= probe();
  return supported;
}

let supported: boolean | undefined;

function probe(): boolean {
  const page = mapAnonymous(4096);
  let pagemap: number | undefined;
  let clearRefs: number | undefined;
  try {
    pagemap = openSync('/proc/self/pagemap', 'r');
    clearRefs = openSync('/proc/self/clear_refs', 'w');
    const position = Number(page.address / 4096n) * entryBytes;
    page.bytes[0] = 1;
    clear(clearRefs);
    const before = isSoftDirty(pagemap, position);
    page.bytes[0] = 2;
    return !before && isSoftDirty(pagemap, position);
  } catch (error) {
    if (systemCode(error) === undefined) throw error;
    return false;
  } finally {
    if (pagemap !== undefined) closeSync(pagemap);
    if (clearRefs !== undefined) closeSync(clearRefs);
    page.unmap();
  }
}

function isSoftDirty(pagemap: number, position: number): boolean {
  const entry = new Uint8Array(entryBytes);
  return readSync(pagemap, entry, 0, entryBytes, position) === entryBytes && entry[6]! >= 0x80;
}

/** "4" clears the soft-dirty bits of all of the process's pages. */
function clear(fd: number): void {
  writeSync(fd, '4', 0);
}

const entryBytes = 8;
const entriesPerRead = 32_768;
