import test from 'ava';
import { EpochDecoder, type PageBatch } from '../../../backup/decode/epoch-decoder.ts';
import {
  chunkBytesMax,
  chunkHeaderBytes,
  chunkPagesMax,
  writeChunkHeader,
} from '../../../shared/codec/chunk.ts';
import { isUnderstudyError } from '../../../shared/errors.ts';
import {
  ArrayMemory,
  createPair,
  encodeEpoch,
  Random,
  smallOptions,
} from '../../primary/pipeline/codec-fixture.ts';
import { fillPage, pageKinds } from '../../primary/pipeline/guest-pages.ts';

/** Real chunks with every kind of record: several epochs, every method, references, sources. */
async function realChunks(
  variant: Partial<typeof smallOptions> = {},
): Promise<{ payloads: Uint8Array[]; ram: ArrayMemory }> {
  const { encoder, replica } = await createPair({ ...smallOptions, ...variant });
  const guest = new ArrayMemory(smallOptions.pageCount);
  const random = new Random(31);
  encoder.adoptZeros(0, guest.pageCount);
  const all: Uint8Array[] = [];
  for (let number = 1; number <= 5; number++) {
    for (let page = 0; page < 48; page++) {
      const kind = pageKinds[page % pageKinds.length]!;
      const at = number % 2 === 0 ? random.below(60) * 64 : 0;
      fillPage(kind, guest.page(page).subarray(at, number % 2 === 0 ? at + 200 : 4096), random);
    }
    guest.page(50 + number).set(guest.page(number));
    const pages = Array.from({ length: 60 }, (_, i) => i);
    const { payloads } = encodeEpoch(encoder, number, guest, pages);
    for (const payload of payloads) replica.decode(payload);
    replica.commit();
    all.push(...payloads);
  }
  return { payloads: all, ram: replica.ram };
}

/** A decoder whose source has every page staged, and a sink that counts. */
async function createTarget() {
  const decoder = await EpochDecoder.create(smallOptions);
  const ram = new ArrayMemory(smallOptions.pageCount);
  new Random(1).fill(ram.bytes);
  const seen = { batches: 0, pages: 0 };
  const image = new Uint8Array(4096).fill(9);
  const source = { ram, staged: (page: number) => (page % 2 === 0 ? image : undefined) };
  const sink = {
    stage(batch: PageBatch) {
      seen.batches += 1;
      seen.pages += batch.count;
      for (let i = 0; i < batch.count; i++) {
        if (batch.pages[i]! >= smallOptions.pageCount) throw new Error('a page outside RAM');
      }
      if (batch.images.length !== batch.count * 4096) throw new Error('images of a wrong size');
    },
  };
  return { decoder, source, sink, seen };
}

type Target = Awaited<ReturnType<typeof createTarget>>;

/** True where the chunk was taken, false where it was refused as it should be. */
function isTaken({ decoder, source, sink, seen }: Target, payload: Uint8Array): boolean {
  const batches = seen.batches;
  try {
    decoder.decode(payload, source, sink);
    return true;
  } catch (error) {
    if (!isUnderstudyError(error, 'E_CHUNK_CORRUPT')) throw error;
    const offset = error.fields.offset;
    if (typeof offset !== 'number' || offset < 0 || offset > payload.length) {
      throw new Error(`offset ${offset} is not in ${payload.length} bytes`, { cause: error });
    }
    if (seen.batches !== batches) throw new Error('pages of a bad chunk were staged');
    return false;
  }
}

test('a chunk cut short anywhere is refused', async (t) => {
  const { payloads } = await realChunks();
  const target = await createTarget();
  for (const payload of payloads) {
    const step = payload.length > 4000 ? 37 : 1;
    for (let cut = 0; cut < payload.length; cut += step) {
      if (isTaken(target, payload.subarray(0, cut))) t.fail(`${cut} of ${payload.length} bytes`);
    }
  }
  t.pass();
});

for (const generalCodec of ['lz4', 'gzip', 'none'] as const) {
  test(`flipped bits are refused or decoded within bounds: ${generalCodec}`, async (t) => {
    const { payloads } = await realChunks({ generalCodec });
    const target = await createTarget();
    const random = new Random(77);
    let refused = 0;
    for (let round = 0; round < 4000; round++) {
      const bad = payloads[random.below(payloads.length)]!.slice();
      for (let flips = 1 + random.below(3); flips > 0; flips--) {
        // Mostly where the structure is: the header, and the heads, bodies and sources at the end.
        const at = random.below(3) === 0 ? random.below(bad.length) : structureOffset(bad, random);
        bad[at]! ^= 1 << random.below(8);
      }
      if (!isTaken(target, bad)) refused += 1;
    }
    t.true(refused > 500);
  });
}

test('a decoder that refused a chunk decodes the next one as if nothing had been', async (t) => {
  const { encoder, replica } = await createPair(smallOptions);
  const guest = new ArrayMemory(smallOptions.pageCount);
  const random = new Random(5);
  encoder.adoptZeros(0, guest.pageCount);
  for (let number = 1; number <= 10; number++) {
    for (let i = 0; i < 20; i++) {
      const kind = pageKinds[random.below(pageKinds.length)]!;
      fillPage(kind, guest.page(random.below(256)).subarray(random.below(3) * 64), random);
    }
    const pages = Array.from({ length: 256 }, (_, i) => i);
    for (const payload of encodeEpoch(encoder, number, guest, pages).payloads) {
      for (let round = 0; round < 20; round++) {
        const bad = payload.slice(0, payload.length - 1 - random.below(payload.length - 1));
        t.throws(() => replica.decode(bad), { code: 'E_CHUNK_CORRUPT' });
      }
      replica.decode(payload);
    }
    replica.commit();
    t.true(Buffer.from(replica.ram.bytes).equals(guest.bytes));
  }
});

test('bytes that mean nothing behind a good header are refused', async (t) => {
  const target = await createTarget();
  const random = new Random(4);
  let taken = 0;
  for (let round = 0; round < 5000; round++) {
    const headsBytes = random.below(200);
    const bodiesBytes = random.below(600);
    const sources = random.below(4);
    const payload = new Uint8Array(chunkHeaderBytes + headsBytes + bodiesBytes + 4 * sources);
    random.fill(payload);
    writeChunkHeader(payload, {
      blockBytes: 64,
      generalCodec: 'lz4',
      pages: random.below(8),
      sources,
      groups: 0,
      groupsBytes: 0,
      headsBytes,
      bodiesBytes,
    });
    if (isTaken(target, payload)) taken += 1;
  }
  t.true(taken < 100);
});

test('a chunk cannot ask for more than a chunk may hold', async (t) => {
  const target = await createTarget();
  const header = {
    blockBytes: 64,
    generalCodec: 'lz4',
    pages: 0,
    sources: 0,
    groups: 0,
    groupsBytes: 0,
    headsBytes: 0,
    bodiesBytes: 0,
  } as const;
  const payload = new Uint8Array(chunkHeaderBytes);
  writeChunkHeader(payload, header);
  t.true(isTaken(target, payload), 'an empty chunk is fine');
  for (const bad of [
    { ...header, pages: chunkPagesMax + 1 },
    { ...header, pages: 0xffffffff },
    { ...header, sources: 0xffffffff },
    { ...header, groups: 0xffffffff },
    { ...header, groupsBytes: 0xffffffff },
    { ...header, headsBytes: 0xfffffff0, bodiesBytes: 0x10 },
    { ...header, pages: 1 },
    { ...header, blockBytes: 128 as const },
  ]) {
    writeChunkHeader(payload, bad);
    t.false(isTaken(target, payload), JSON.stringify(bad));
  }
  t.false(isTaken(target, new Uint8Array(chunkBytesMax + 1)));
  // A group that claims to unpack to 4 GiB.
  const group = new Uint8Array(chunkHeaderBytes + 16);
  writeChunkHeader(group, { ...header, groups: 1, groupsBytes: 16 });
  new DataView(group.buffer).setUint32(chunkHeaderBytes, 0xffffffff, true);
  t.false(isTaken(target, group));
});

test('a page that comes twice in a chunk, or lies outside RAM, is refused', async (t) => {
  const target = await createTarget();
  // Heads: two pages of zeros (whole, rest is zero), by distance; 256 pages of RAM.
  const zeroPage = 8 | 64;
  const chunk = (heads: number[]): Uint8Array => {
    const payload = new Uint8Array(chunkHeaderBytes + heads.length);
    writeChunkHeader(payload, {
      blockBytes: 64,
      generalCodec: 'none',
      pages: 2,
      sources: 0,
      groups: 0,
      groupsBytes: 0,
      headsBytes: heads.length,
      bodiesBytes: 0,
    });
    payload.set(heads, chunkHeaderBytes);
    return payload;
  };
  t.true(isTaken(target, chunk([2, zeroPage, 2, zeroPage])));
  t.false(isTaken(target, chunk([2, zeroPage, 0, zeroPage])));
  t.false(isTaken(target, chunk([0xfe, 0x03, zeroPage, 2, zeroPage])));
  t.false(isTaken(target, chunk([0, zeroPage, 1, zeroPage])));
});

test('a reference that leads nowhere is refused', async (t) => {
  const target = await createTarget();
  const [stored, shared, whole] = [4, 128, 8];
  // Page 0 is stored, page 1 consists of references alone.
  const heads = [0, stored | whole, 2, shared | whole];
  const chunk = (references: number[], sources: number[] = []): Uint8Array => {
    const bodiesBytes = 4096 + references.length;
    const payload = new Uint8Array(
      chunkHeaderBytes + heads.length + bodiesBytes + sources.length * 4,
    );
    writeChunkHeader(payload, {
      blockBytes: 64,
      generalCodec: 'none',
      pages: 2,
      sources: sources.length,
      groups: 0,
      groupsBytes: 0,
      headsBytes: heads.length,
      bodiesBytes,
    });
    payload.set(heads, chunkHeaderBytes);
    payload.set(references, chunkHeaderBytes + heads.length + 4096);
    const view = new DataView(payload.buffer);
    for (const [i, source] of sources.entries()) {
      view.setUint32(payload.length - (sources.length - i) * 4, source, true);
    }
    return payload;
  };
  const [pageZero, itself, later, sourceZero] = [0, 2, 4, 1];
  t.true(isTaken(target, chunk([pageZero, 0, 64])));
  t.true(isTaken(target, chunk([pageZero, 63, 1, itself, 0, 63])));
  t.true(isTaken(target, chunk([sourceZero, 0, 64], [255])));
  t.true(isTaken(target, chunk([sourceZero, 0, 64], [0x80000000 + 254])));
  const bad: Record<string, Uint8Array> = {
    'over the end of a page': chunk([pageZero, 1, 64]),
    'to a block that comes later in its own page': chunk([pageZero, 0, 1, itself, 1, 63]),
    'to itself': chunk([itself, 0, 64]),
    'to a page that comes later': chunk([later, 0, 64]),
    'to a source that is not there': chunk([sourceZero, 0, 64]),
    'to a source outside RAM': chunk([sourceZero, 0, 64], [256]),
    'to a page that was not staged': chunk([sourceZero, 0, 64], [0x80000000 + 255]),
    'to nothing': chunk([pageZero, 0, 64, pageZero, 0, 0]),
    'of no blocks': chunk([pageZero, 0, 0, pageZero, 0, 64]),
    'of too many blocks': chunk([pageZero, 0, 32, pageZero, 0, 33]),
    'of too few blocks': chunk([pageZero, 0, 63]),
    'with a name without end': chunk([255, 255, 255, 255, 255, 255, 0, 64]),
  };
  for (const [what, payload] of Object.entries(bad)) t.false(isTaken(target, payload), what);
});

function structureOffset(payload: Uint8Array, random: Random): number {
  const view = new DataView(payload.buffer, payload.byteOffset);
  const first = chunkHeaderBytes + view.getUint32(20, true);
  const heads = view.getUint32(24, true);
  switch (random.below(4)) {
    case 0:
      return random.below(chunkHeaderBytes);
    case 1:
      return first + random.below(Math.max(1, heads));
    default:
      return Math.min(payload.length - 1, first + random.below(payload.length - first));
  }
}
