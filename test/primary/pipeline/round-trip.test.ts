import test from 'ava';
import type { EncoderOptions } from '../../../primary/pipeline/epoch-encoder.ts';
import type { GeneralCodec } from '../../../shared/codec/codec-settings.ts';
import { epoch } from '../../../shared/ids.ts';
import { PageSet } from '../../../shared/page-set.ts';
import {
  ArrayMemory,
  createPair,
  encodeEpoch,
  encodeSegment,
  Random,
  smallOptions,
} from './codec-fixture.ts';
import { fillPage } from './guest-pages.ts';
import { writeSome } from './some-writes.ts';

const variants: Record<string, Partial<EncoderOptions>> = {
  'everything on': {},
  'blocks of 128 bytes': { blockBytes: 128 },
  'blocks of 256 bytes': { blockBytes: 256 },
  XXH64: { hash: 'xxh64' },
  'XXH64, blocks of 256 bytes': { hash: 'xxh64', blockBytes: 256 },
  gzip: { generalCodec: 'gzip' },
  'no general codec': { generalCodec: 'none' },
  'no sharing': { sharing: false },
  'no compression': { compression: false, delta: false },
  'no delta': { delta: false },
  'nothing kept': { keptBytes: 0 },
  'a fast link': { linkBytesPerSecond: 5e9 },
  'small chunks': { chunkBytes: 16 << 10 },
  'blocks only': { sharing: false, compression: false, delta: false, generalCodec: 'none' },
};

test('epochs of one session may be compressed in different ways', async (t) => {
  const { encoder, replica } = await createPair(smallOptions);
  const guest = new ArrayMemory(smallOptions.pageCount);
  const random = new Random(77);
  const link = { ratio: 0.4, bytesPerSecond: 1e9, linkBytesPerSecond: 1e6 };
  const sizes = ['none', 'lz4', 'gzip', 'none'].map((codec, i) => {
    for (let page = 0; page < 60; page++) fillPage('text', guest.page(page), random);
    const choice = { codec: codec as GeneralCodec, level: 3, ...link };
    encoder.begin(epoch(i + 1), choice);
    const payloads = encodeSegment(
      encoder,
      guest,
      Array.from({ length: 60 }, (_, page) => page),
    );
    const { stats } = encoder.finish();
    t.is(stats.general.pages, codec === 'none' ? 0 : 60);
    t.is(stats.generalMs > 0, codec !== 'none');
    for (const payload of payloads) replica.decode(payload);
    replica.commit();
    t.true(Buffer.from(replica.ram.bytes).equals(guest.bytes));
    return stats.chunkBytes;
  });
  t.true(sizes[1]! < sizes[0]! * 0.8 && sizes[2]! < sizes[1]!, `${sizes}`);
  t.true(sizes[3]! > sizes[1]!);
});

for (const [name, variant] of Object.entries(variants)) {
  test(`what is decoded is the guest's memory, epoch after epoch: ${name}`, async (t) => {
    const options = { ...smallOptions, ...variant };
    const { encoder, replica, digester } = await createPair(options);
    const guest = new ArrayMemory(options.pageCount);
    const random = new Random(1234);
    encoder.adoptZeros(0, options.pageCount);
    const table = new Uint8Array(options.pageCount * 8);
    for (let number = 1; number <= 40; number++) {
      const { payloads, ramDigest } = encodeEpoch(encoder, number, guest, writeSome(guest, random));
      for (const payload of payloads) {
        t.true(payload.length <= options.chunkBytes);
        replica.decode(payload);
      }
      replica.commit();
      if (!Buffer.from(replica.ram.bytes).equals(guest.bytes)) t.fail(`epoch ${number} differs`);
      t.is(replica.ramDigest(), ramDigest);
    }
    digester.digestRange(guest, 0, options.pageCount, table);
    t.is(digester.foldRoot(table), encoder.ramDigest());
    t.deepEqual(Buffer.from(encoder.pageDigests(0, options.pageCount)), Buffer.from(table));
  });

  test(`forgotten pages leave no trace: ${name}`, async (t) => {
    const options = { ...smallOptions, ...variant };
    const { encoder, replica } = await createPair(options);
    const guest = new ArrayMemory(options.pageCount);
    const random = new Random(99);
    let dirty = new Set<number>();
    let inFlight: { number: number; payloads: Uint8Array[]; digest: bigint }[] = [];
    for (let page = 0; page < options.pageCount; page++) dirty.add(page);
    for (let number = 1; number <= 120; number++) {
      for (const page of writeSome(guest, random)) dirty.add(page);
      encoder.begin(epoch(number));
      const payloads: Uint8Array[] = [];
      const list = [...dirty].sort((a, b) => a - b);
      // In two segments, with the guest writing in between and pages in both.
      payloads.push(...encodeSegment(encoder, guest, list));
      payloads.push(...encodeSegment(encoder, guest, writeSome(guest, random)));
      dirty = new Set();
      inFlight.push({ number, payloads, digest: encoder.finish().ramDigest });
      const fate = random.below(7);
      if (fate < 5) {
        for (const sent of inFlight) {
          for (const payload of sent.payloads) replica.decode(payload);
          replica.commit();
          t.is(replica.ramDigest(), sent.digest);
        }
        inFlight = [];
        if (!Buffer.from(replica.ram.bytes).equals(guest.bytes)) t.fail(`epoch ${number}`);
      } else if (fate === 5) {
        // Damage on the backup, found by comparing digests.
        for (const sent of inFlight) {
          for (const payload of sent.payloads) replica.decode(payload);
          replica.commit();
        }
        inFlight = [];
        const lost = new PageSet(options.pageCount);
        for (let i = 0; i < 5; i++) {
          const page = random.below(options.pageCount);
          random.fill(replica.ram.page(page));
          lost.add(page);
          dirty.add(page);
        }
        encoder.forget(lost);
      }
    }
    t.true(encoder.memoryBytes > 0);
  });
}
