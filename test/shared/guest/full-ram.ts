import type { SyntheticMemory } from '../../../shared/guest/synthetic-memory.ts';
import { pageBytes } from '../../../shared/ids.ts';

/** All of RAM in one buffer. */
export function fullRam(memory: SyntheticMemory): Buffer {
  const ram = Buffer.alloc(memory.pageCount * pageBytes);
  memory.readRange(0, memory.pageCount, ram, 0);
  return ram;
}

/** The pages that differ, by comparing every byte. */
export function differingPages(before: Buffer, after: Buffer): number[] {
  const pages: number[] = [];
  for (let at = 0; at < before.length; at += pageBytes) {
    if (before.compare(after, at, at + pageBytes, at, at + pageBytes) !== 0) {
      pages.push(at / pageBytes);
    }
  }
  return pages;
}
