import test from 'ava';
import { compressGroup, decompressGroup } from '../../../shared/codec/general.ts';
import { Random } from '../../primary/pipeline/codec-fixture.ts';
import { fillPage } from '../../primary/pipeline/guest-pages.ts';

for (const codec of ['lz4', 'gzip'] as const) {
  test(`${codec} gives a group back, and only as many bytes as were asked for`, (t) => {
    const plain = new Uint8Array(100_000);
    fillPage('text', plain, new Random(1));
    const packed = new Uint8Array(100_100);
    const bytes = compressGroup(codec, plain, packed, 100);
    t.true(bytes > 0 && bytes < plain.length / 2);
    t.true(packed.subarray(0, 100).every((byte) => byte === 0));
    const input = packed.subarray(100, 100 + bytes);
    const output = new Uint8Array(plain.length);
    t.true(decompressGroup(codec, input, output));
    t.true(Buffer.from(output).equals(plain));
    t.false(decompressGroup(codec, input, new Uint8Array(plain.length - 1)));
    t.false(decompressGroup(codec, input, new Uint8Array(plain.length + 1)));
  });

  test(`${codec} says so where a group does not get smaller`, (t) => {
    const plain = new Uint8Array(5000);
    new Random(2).fill(plain);
    t.is(compressGroup(codec, plain, new Uint8Array(6000), 0), 0);
  });

  test(`${codec} survives bytes that mean nothing`, (t) => {
    const random = new Random(3);
    const output = new Uint8Array(10_000);
    for (let round = 0; round < 500; round++) {
      const input = new Uint8Array(random.below(3000));
      random.fill(input);
      if (codec === 'gzip') input.set([0x1f, 0x8b, 8, 0].slice(0, input.length));
      t.false(decompressGroup(codec, input, output));
    }
  });
}

test('without a codec nothing is packed and nothing unpacked', (t) => {
  t.is(compressGroup('none', new Uint8Array(100), new Uint8Array(200), 0), 0);
  t.false(decompressGroup('none', new Uint8Array(100), new Uint8Array(100)));
});
