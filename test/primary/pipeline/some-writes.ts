import type { ArrayMemory, Random } from './codec-fixture.ts';
import { fillPage, pageKinds } from './guest-pages.ts';

/** A few writes to a few pages: returns the dirty pages, ascending. */
export function writeSome(guest: ArrayMemory, random: Random): number[] {
  const dirty = new Set<number>();
  const writes = 1 + random.below(60);
  for (let i = 0; i < writes; i++) {
    const hot = random.below(3) > 0;
    const page = random.below(hot ? 24 : guest.pageCount);
    const bytes = guest.page(page);
    dirty.add(page);
    switch (random.below(6)) {
      case 0:
        fillPage(pageKinds[random.below(pageKinds.length)]!, bytes, random);
        break;
      case 1: {
        const at = random.below(64) * 64;
        fillPage(pageKinds[random.below(pageKinds.length)]!, bytes.subarray(at, at + 64), random);
        break;
      }
      case 2:
        bytes[random.below(4096)]! += 1;
        break;
      case 3:
        bytes.set(guest.page(random.below(guest.pageCount)));
        break;
      case 4: {
        const from = guest.page(random.below(guest.pageCount));
        const at = random.below(32) * 64;
        bytes.set(from.subarray(at, at + 1024), random.below(48) * 64);
        break;
      }
      default:
        break;
    }
  }
  return [...dirty].sort((a, b) => a - b);
}
