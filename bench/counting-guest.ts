import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { GuestName } from '../shared/ids.ts';
import type { WritableMemory } from '../shared/memory/guest-memory.ts';
import { QemuGuest } from '../shared/qemu/qemu-guest.ts';
import { basePage, bootSector, counterPage, delayAddress } from './boot-sector.ts';

const bootDeadlineMs = 60_000;
const tuneMs = 300;
const tuneStepsMax = 12;
/** Between two writes, of the guest's time stamp counter: about 100,000 writes a second. */
export const ticksAtStart = 20_000;

/** A guest that writes scattered pages, one after the other, at a pace that is set from outside. */
export interface CountingGuest {
  readonly guest: QemuGuest;
  /** Sets the pace to about so many page writes a second; returns what came out. */
  setPace(writesPerSecond: number): Promise<number>;
}

/** Boots it with a region of `regionPages` (a power of two); ends it when `use` is done. */
export async function withCountingGuest<T>(
  memoryBytes: number,
  regionPages: number,
  use: (guest: CountingGuest) => Promise<T>,
): Promise<T> {
  if ((basePage + regionPages) * 4096 > memoryBytes) throw new RangeError('too large a region');
  const runFolder = await mkdtemp(join(tmpdir(), 'understudy-bench-'));
  const memoryFolder = join('/dev/shm', basename(runFolder));
  const disk = join(runFolder, 'boot.img');
  await writeFile(disk, bootSector(regionPages - 1, ticksAtStart, 'clock'));
  let guest: QemuGuest | undefined;
  try {
    guest = await QemuGuest.start({
      name: 'bench' as GuestName,
      ...{ memoryBytes, vcpus: 1, accelerator: 'tcg', runFolder, memoryFolder },
      ...{ disks: [], networks: [] },
      extraArguments: ['-drive', `file=${disk},format=raw,if=floppy,readonly=on`],
    });
    await waitUntilCounting(guest.memory);
    const pacer = new Pacer(guest.memory);
    return await use({ guest, setPace: (wanted) => pacer.set(wanted) });
  } finally {
    await guest?.terminate();
    await guest?.detach();
    await rm(runFolder, { recursive: true, force: true });
    await rm(memoryFolder, { recursive: true, force: true });
  }
}

/** Finds the ticks between two writes that give a pace: how long a tick is depends on the machine. */
export class Pacer {
  readonly #memory: WritableMemory;
  #delay = ticksAtStart;

  constructor(memory: WritableMemory) {
    this.#memory = memory;
  }

  async set(wanted: number): Promise<number> {
    let pace = 0;
    for (let step = 0; step < tuneStepsMax; step++) {
      this.#write();
      const from = countOf(this.#memory);
      const startedAt = performance.now();
      await sleep(tuneMs);
      pace = ((countOf(this.#memory) - from) / (performance.now() - startedAt)) * 1000;
      if (Math.abs(pace / wanted - 1) < 0.03) break;
      const factor = Math.min(8, Math.max(1 / 8, pace / wanted));
      this.#delay = Math.max(1, Math.round(this.#delay * factor));
    }
    return pace;
  }

  #write(): void {
    const memory = this.#memory;
    const page = new Uint8Array(4096);
    const number = Math.floor(delayAddress / 4096);
    // The program does not write this page: nothing that it does meanwhile is undone.
    memory.readRange(number, 1, page, 0);
    new DataView(page.buffer).setUint32(delayAddress % 4096, this.#delay, true);
    memory.writePages(Uint32Array.of(number), 1, page, 0);
  }
}

/** Pages that the guest has written since it booted, each time it did. */
export function countOf(memory: WritableMemory): number {
  const page = new Uint8Array(4096);
  memory.readRange(counterPage, 1, page, 0);
  return new DataView(page.buffer).getUint32(0, true);
}

async function waitUntilCounting(memory: WritableMemory): Promise<void> {
  const endAtMs = performance.now() + bootDeadlineMs;
  for (let from = countOf(memory); countOf(memory) <= from + 10; ) {
    if (performance.now() > endAtMs) throw new Error('the counting guest does not count');
    await sleep(50);
  }
}
