import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { basePage, bootSector, counterPage } from '../../../bench/boot-sector.ts';
import type { GuestName } from '../../../shared/ids.ts';
import type { RamFile } from '../../../shared/memory/ram-file.ts';
import type { GuestConfig } from '../../../shared/qemu/guest-options.ts';

/** A guest of the boot sector that counts. RAM alone says whether it is whole: `checkRegion`. */

export interface CounterLab {
  readonly folder: string;
  readonly config: GuestConfig;
  /** The same guest for a second side, with folders of its own. */
  readonly peer: GuestConfig;
  remove(): void;
}

/** `regionPages` is a power of two; `delay` is the turns of an empty loop between two counts. */
export function counterLab(options: {
  readonly memoryBytes?: number;
  readonly regionPages?: number;
  readonly delay?: number;
  readonly machine?: string;
  /**
   * A floppy, when the guest's own writes alone are to be seen: QEMU writes into the rings of a
   * virtio disk when it stops and continues.
   */
  readonly boot?: 'virtio' | 'floppy';
}): CounterLab {
  const { memoryBytes = 32 * 2 ** 20, regionPages = 256, delay = 2000, machine } = options;
  const { boot = 'virtio' } = options;
  const folder = mkdtempSync(join(tmpdir(), 'us-'));
  const memory = mkdtempSync('/dev/shm/us-');
  const disk = join(folder, 'boot.img');
  writeFileSync(disk, bootSector(regionPages - 1, delay));
  const side = (name: string): GuestConfig => {
    mkdirSync(join(memory, name));
    return {
      name: 'counter' as GuestName,
      memoryBytes,
      vcpus: 1,
      accelerator: 'tcg',
      machine,
      disks: boot === 'virtio' ? [{ path: disk, format: 'raw', readonly: true }] : [],
      networks: [],
      extraArguments:
        boot === 'virtio' ? [] : ['-drive', `file=${disk},format=raw,if=floppy,readonly=on`],
      runFolder: join(folder, name),
      memoryFolder: join(memory, name),
    };
  };
  return {
    folder,
    config: side('a'),
    peer: side('b'),
    remove: () => {
      killLeftOver(folder);
      rmSync(folder, { recursive: true, force: true });
      rmSync(memory, { recursive: true, force: true });
    },
  };
}

export function readCounter(ram: RamFile): number {
  return new DataView(readPage(ram, counterPage).buffer).getUint32(0, true);
}

/** Waits until the program has counted to `count`. */
export async function waitForCount(
  ram: RamFile,
  count: number,
  timeoutMs = 120_000,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (readCounter(ram) < count) {
    if (performance.now() > deadline) throw new Error(`the guest does not reach ${count}`);
    await sleep(10);
  }
}

/** The pages that the counts `after + 1` to `upTo` write. */
export function pagesOfCounts(after: number, upTo: number, regionPages: number): Set<number> {
  const pages = new Set<number>();
  for (let count = after + 1; count <= upTo; count++) pages.add(pageOfCount(count, regionPages));
  return pages;
}

/**
 * What is wrong with the RAM of a paused guest, or undefined: every page of the region must hold
 * the last count that went to it. The guest may be stopped between counting and writing.
 */
export function checkRegion(ram: RamFile, regionPages: number): string | undefined {
  const count = readCounter(ram);
  const expected = new Map<number, number>();
  for (let c = Math.max(1, count - 64 * regionPages); c < count; c++) {
    expected.set(pageOfCount(c, regionPages), c);
  }
  const last = pageOfCount(count, regionPages);
  const words = new DataView(readPage(ram, counterPage).buffer);
  if (words.getUint32(4, true) !== 0) return `the registers are not those of count ${count}`;
  for (const [page, value] of expected) {
    const found = new DataView(readPage(ram, page).buffer).getUint32(8, true);
    if (found !== value && !(page === last && found === count)) {
      return `page ${page} holds ${found} instead of ${value} at count ${count}`;
    }
  }
  return undefined;
}

export function readPage(ram: RamFile, page: number): Uint8Array {
  const bytes = new Uint8Array(4096);
  ram.readRange(page, 1, bytes, 0);
  return bytes;
}

/** The whole RAM, for comparing byte by byte. */
export function readAll(ram: RamFile): Uint8Array {
  const bytes = new Uint8Array(ram.memoryBytes);
  ram.readRange(0, ram.pageCount, bytes, 0);
  return bytes;
}

function pageOfCount(count: number, regionPages: number): number {
  return basePage + ((Math.imul(count, 0x2c9277b5) >>> 8) & (regionPages - 1));
}

/** Ends what a test left running: only processes recorded below its own folder. */
function killLeftOver(folder: string): void {
  for (const side of ['a', 'b']) {
    try {
      const { pid } = JSON.parse(readFileSync(join(folder, side, 'guest.json'), 'utf8'));
      const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
      if (command.includes(folder)) process.kill(pid, 'SIGKILL');
    } catch {
      // none was recorded, or it ended
    }
  }
}
