import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { GuestName } from '../../../shared/ids.ts';
import type { RamFile } from '../../../shared/memory/ram-file.ts';
import type { GuestConfig } from '../../../shared/qemu/guest-options.ts';

/**
 * A guest that needs no kernel: a boot sector that counts, and for each count writes it into one
 * page of a region, scattered. RAM alone then says whether it is whole: see `checkRegion`.
 *
 *   counter at 0x9000 (u32); the CPU keeps the same count in a register
 *   1 at 0x9004 if the two ever differed: RAM and device state were not of one instant
 *   page for count c: base + (((c * 0x2c9277b5) >>> 8) & mask) * 4096, at offset 8
 */
export const counterPage = 9;
export const basePage = 0x200000 / 4096;

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
export async function waitForCount(ram: RamFile, count: number, timeoutMs = 60_000): Promise<void> {
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

/**
 * The program, assembled from:
 *
 *   cli; xor ax,ax; mov ds,ax; lgdt [gdtr]; mov eax,cr0; or eax,1; mov cr0,eax; jmp 8:prot
 * prot: mov eax,16; mov ds,eax; mov es,eax; mov ss,eax
 *   xor esi,esi; mov [0x9000],esi; mov [0x9004],esi
 * again: cmp esi,[0x9000]; je 2f; mov dword [0x9004],1
 * 2: inc esi; mov [0x9000],esi
 *   imul edx,esi,0x2c9277b5; shr edx,8; and edx,[mask]; shl edx,12; add edx,[base]
 *   mov [edx+8],esi; mov ecx,[delay]
 * 1: loop 1b; jmp again
 */
function bootSector(mask: number, delay: number): Buffer {
  const image = Buffer.alloc(1_474_560); // a floppy's size; SeaBIOS boots from no tiny disk
  Buffer.from(program, 'hex').copy(image);
  image.writeUInt32LE(basePage * 4096, 0x1d0);
  image.writeUInt32LE(mask, 0x1d4);
  image.writeUInt32LE(delay, 0x1d8);
  image.writeUInt16LE(0xaa55, 510);
  return image;
}

const program = [
  'fa31c08ed80f0116887c0f20c06683c8010f22c0ea197c0800b8100000008ed88ec08ed031f6893500900000',
  '8935049000003b3500900000740ac70504900000010000004689350090000069d6b577922cc1ea082315d47d',
  '0000c1e20c0315d07d00008972088b0dd87d0000e2feebc20000000000000000ffff0000009acf00ffff0000',
  '0092cf001700707c',
].join('');
