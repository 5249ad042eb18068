import test from 'ava';
import fc from 'fast-check';
import { Random } from '../primary/pipeline/codec-fixture.ts';
import { fillPage, pageKinds } from '../primary/pipeline/guest-pages.ts';
import { createFixture, type Fixture } from './kernel-fixture.ts';

interface Method {
  /** Packs `units` times 64 bytes; returns the bytes written. */
  pack(fixture: Fixture, units: number): number;
  /** Unpacks from `packedBytes` bytes; returns the bytes read, or less than 0 for a fault. */
  unpack(fixture: Fixture, packedBytes: number, units: number): number;
  bytesMax(units: number): number;
}

const methods: Record<string, Method> = {
  'zero-run': {
    pack: ({ kernels, source, packed }, units) =>
      kernels.run.zeroRunEncode(source, units, packed) - packed,
    unpack: ({ kernels, packed, restored }, bytes, units) =>
      kernels.run.zeroRunDecode(packed, packed + bytes, units, restored) - packed,
    bytesMax: (units) => units * 73,
  },
  WKdm: {
    pack: ({ kernels, source, packed }, units) =>
      kernels.run.wkdmEncode(source, units * 16, packed) - packed,
    unpack: ({ kernels, packed, restored }, bytes, units) =>
      kernels.run.wkdmDecode(packed, packed + bytes, units * 16, restored) - packed,
    bytesMax: (units) => units * 68,
  },
};

for (const [name, method] of Object.entries(methods)) {
  test(`${name} gives back every kind of page, whole and in parts`, async (t) => {
    const fixture = await createFixture();
    const random = new Random(3);
    for (const kind of pageKinds) {
      for (let round = 0; round < 30; round++) {
        fillPage(kind, fixture.input.subarray(0, 4096), random);
        checkRoundTrip(t, fixture, method, round < 10 ? 64 : 1 + random.below(64));
      }
    }
  });

  test(`${name} gives back whatever it is given`, async (t) => {
    const fixture = await createFixture();
    const word = fc.oneof(
      fc.constant(0),
      fc.integer({ min: 1, max: 1023 }),
      fc.integer({ min: 0x10000000, max: 0x10000fff }),
      fc.constantFrom(0xdeadbeef, 0xffff8880, 1024, 0xff, 0xff000000),
      fc.nat({ max: 0xffffffff }),
    );
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 64 }),
        fc.array(word, { minLength: 16 }),
        (units, w) => {
          const words = new Uint32Array(fixture.input.buffer, fixture.source, units * 16);
          for (let i = 0; i < words.length; i++) words[i] = w[(i * 7) % w.length]!;
          checkRoundTrip(t, fixture, method, units);
        },
      ),
      { numRuns: 300 },
    );
  });

  test(`${name} notices that its input ends early`, async (t) => {
    const fixture = await createFixture();
    const random = new Random(8);
    for (const kind of pageKinds) {
      fillPage(kind, fixture.input.subarray(0, 4096), random);
      const bytes = method.pack(fixture, 64);
      for (let cut = 0; cut < bytes; cut++) {
        if (method.unpack(fixture, cut, 64) >= 0) t.fail(`${kind} cut to ${cut} of ${bytes}`);
      }
    }
    t.pass();
  });

  test(`${name} neither hangs nor writes beyond its output on bytes that mean nothing`, async (t) => {
    const fixture = await createFixture();
    const { kernels, packed, restored } = fixture;
    const random = new Random(21);
    const after = kernels.bytes(restored + 4096, 4096);
    after.fill(0xa5);
    const outside = snapshotOutside(fixture);
    for (let round = 0; round < 2000; round++) {
      const bytes = random.below(3000);
      random.fill(kernels.bytes(packed, bytes));
      const read = method.unpack(fixture, bytes, 1 + random.below(64));
      t.true(read <= bytes);
    }
    t.true(after.every((byte) => byte === 0xa5));
    t.deepEqual(snapshotOutside(fixture), outside);
  });
}

test('zero-run counts exactly what it would write', async (t) => {
  const fixture = await createFixture();
  const random = new Random(5);
  for (const kind of pageKinds) {
    for (let round = 0; round < 20; round++) {
      fillPage(kind, fixture.input.subarray(0, 4096), random);
      const units = 1 + random.below(64);
      const counted = fixture.kernels.run.zeroRunBytes(fixture.source, units);
      t.is(counted, methods['zero-run']!.pack(fixture, units));
      const least = fixture.kernels.run.zeroRunLeast(fixture.source, units);
      t.true(least <= counted && least >= counted * 0.6, `${kind}: ${least} of ${counted}`);
    }
  }
});

test('WKdm makes pointers, records and repeated words small', async (t) => {
  const fixture = await createFixture();
  const random = new Random(5);
  const ratio = (kind: (typeof pageKinds)[number]): number => {
    fillPage(kind, fixture.input.subarray(0, 4096), random);
    return methods.WKdm!.pack(fixture, 64) / 4096;
  };
  t.true(ratio('pointers') < 0.5);
  t.true(ratio('records') < 0.5);
  t.true(ratio('equal') < 0.25);
  t.true(ratio('zero') < 0.1);
});

function checkRoundTrip(
  t: { is(a: unknown, b: unknown): void; true(v: boolean): void; fail(m: string): void },
  fixture: Fixture,
  method: Method,
  units: number,
): void {
  const { kernels, source, packed, restored } = fixture;
  const plain = kernels.bytes(source, units * 64);
  const output = kernels.bytes(restored, units * 64 + 64);
  output.fill(0x5a);
  kernels.bytes(packed, 8192).fill(0xee);
  const bytes = method.pack(fixture, units);
  t.true(bytes <= method.bytesMax(units));
  // What follows in a chunk is none of the decoder's business.
  kernels.bytes(packed + bytes, 64).fill(0x77);
  t.is(method.unpack(fixture, bytes, units), bytes);
  if (Buffer.compare(output.subarray(0, units * 64), plain) !== 0) t.fail('bytes differ');
  t.true(output.subarray(units * 64).every((byte) => byte === 0x5a));
}

/** Everything but the kernels' own tables and the buffers in use. */
function snapshotOutside({ kernels, source }: Fixture): string {
  return Buffer.from(kernels.bytes(source, 1 << 16)).toString('base64');
}
