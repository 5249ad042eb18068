import type { Random } from './codec-fixture.ts';

/** Kinds of content that guest pages have. */
export const pageKinds = [
  'zero',
  'sparse',
  'counters',
  'text',
  'pointers',
  'equal',
  'random',
  'records',
] as const;
export type PageKind = (typeof pageKinds)[number];

const words =
  'the of and to in is that it for was on are as with they be at one have this from by hot but some'
    .split(' ')
    .concat(['memory', 'checkpoint', 'kernel', 'process', '\n', 'struct', 'return', 'page']);

/** Fills a page, or a part of one, with content of a kind. */
export function fillPage(kind: PageKind, bytes: Uint8Array, random: Random): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  bytes.fill(0);
  switch (kind) {
    case 'zero':
      return;
    case 'sparse':
      for (let i = 0; i < bytes.length / 256; i++)
        bytes[random.below(bytes.length)] = random.next();
      return;
    case 'counters':
      for (let i = 0; i + 4 <= bytes.length; i += 4) view.setUint32(i, random.below(1000), true);
      return;
    case 'text':
      for (let at = 0; at < bytes.length; ) {
        for (const c of `${words[random.below(words.length)]} `) {
          if (at < bytes.length) bytes[at++] = c.charCodeAt(0);
        }
      }
      return;
    case 'pointers':
      for (let i = 0; i + 8 <= bytes.length; i += 8) {
        if (random.below(4) === 0) continue;
        view.setUint32(
          i,
          (0x12340000 + random.below(8) * 0x10000 + random.below(4096)) >>> 0,
          true,
        );
        view.setUint32(i + 4, 0xffff8880 + random.below(2), true);
      }
      return;
    case 'equal':
      for (let i = 0; i + 4 <= bytes.length; i += 4) view.setUint32(i, 0xdeadbeef, true);
      return;
    case 'random':
      random.fill(bytes);
      return;
    case 'records':
      for (let i = 0; i + 32 <= bytes.length; i += 32) {
        view.setUint32(i, random.below(1 << 20), true);
        view.setUint32(i + 4, 0xffff8881, true);
        view.setUint32(i + 8, random.next(), true);
        view.setUint16(i + 16, random.below(300), true);
      }
  }
}
