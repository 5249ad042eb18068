import { epoch, pageBytes } from '../../shared/ids.ts';
import type { EncoderOptions, EpochEncoder, LiveRam } from './epoch-encoder.ts';

const pageCount = 128;
const epochs = 40;

/** The options of an encoder that is only there to warm the kernels up. */
export function warmUpOptions(options: EncoderOptions): EncoderOptions {
  return {
    ...options,
    pageCount,
    captureBytes: (pageCount / 2) * pageBytes,
    keptBytes: (pageCount / 4) * pageBytes,
  };
}

/** Its RAM, which holds nothing of what is encoded: candidates are read and not confirmed. */
export const warmUpRam: LiveRam = { readRange: () => {} };

/**
 * Runs the kernels until the compiler has finished with them: the first calls are ten times
 * slower, and compiled code is shared by all instances. Takes some 50 ms, once in a process.
 */
export function warmUp(encoder: EpochEncoder): void {
  const words = new Uint32Array(encoder.captureBuffer.buffer, encoder.captureBuffer.byteOffset);
  encoder.adoptZeros(0, pageCount);
  let state = 1;
  for (let number = 1; number <= epochs; number++) {
    const count = encoder.captureCapacityPages;
    for (let slot = 0; slot < count; slot++) {
      encoder.capturePages[slot] = slot + (number % 3) * 16;
      const first = (slot * pageBytes) / 4;
      const page = words.subarray(first, first + pageBytes / 4);
      state = fillPage(page, (slot + number) % 5, state);
    }
    encoder.begin(epoch(number));
    for (const _ of encoder.encode(count));
    encoder.finish();
  }
}

/** Some words of a kind of content: sparse, pointers, counters, text, random. */
function fillPage(page: Uint32Array, kind: number, state: number): number {
  let x = state;
  for (let i = 0; i < page.length; i += kind === 0 ? 61 : 1) {
    x = (Math.imul(x, 1664525) + 1013904223) >>> 0;
    if (kind === 1) page[i] = i % 2 === 1 ? 0xffff8881 : 0x12340000 + (x >>> 20);
    else if (kind === 2) page[i] = x >>> 23;
    else if (kind === 3) page[i] = 0x61626300 + (x >>> 27);
    else page[i] = x;
  }
  return x;
}
