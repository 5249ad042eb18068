import { type ArrayMemory, Random } from '../../primary/pipeline/codec-fixture.ts';
import { fillPage } from '../../primary/pipeline/guest-pages.ts';

/**
 * Four epochs of a small guest that between them have every kind of record. A version of the
 * format, once released, must go on to be decoded: a change to these bytes is a new version.
 */
export function writeGoldenEpoch(number: number, guest: ArrayMemory): number[] {
  const random = new Random(number);
  if (number === 1) {
    fillPage('text', guest.page(3).subarray(0, 640), random);
    fillPage('pointers', guest.page(4).subarray(64, 1024), random);
    guest.page(9).set(guest.page(3));
    random.fill(guest.page(10).subarray(128, 256));
    random.fill(guest.page(11).subarray(0, 1024));
    return [3, 4, 9, 10, 11];
  }
  // A dense page with small changes: kept, then sent as a difference.
  for (let at = 128; at < 256; at += 16) guest.page(10)[at]! += number;
  guest.page(3)[5] = number;
  if (number === 4) {
    guest.page(9).fill(0);
    guest.page(2).set(guest.page(10).subarray(0, 1024), 512);
    guest.page(4).set(guest.page(4).subarray(64, 256), 3000);
  }
  return [2, 3, 4, 9, 10];
}
