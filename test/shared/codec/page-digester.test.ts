import test from 'ava';
import { PageDigester } from '../../../shared/codec/page-digester.ts';
import { ArrayMemory, Random, secretFor } from '../../primary/pipeline/codec-fixture.ts';

const settings = { blockBytes: 64, hash: 'xxh3', secret: secretFor(1) } as const;

/** RAM of which only some runs of pages are allocated; reading a hole is an error here. */
class HoleyMemory extends ArrayMemory {
  readonly runs = [
    { first: 3, end: 10 },
    { first: 300, end: 900 },
  ];

  override readRange(first: number, count: number, into: Uint8Array, offset: number): void {
    if (!this.runs.some((run) => run.first <= first && first + count <= run.end)) {
      throw new Error(`pages ${first} to ${first + count} have a hole`);
    }
    super.readRange(first, count, into, offset);
  }

  override nextData(page: number): { first: number; end: number } | undefined {
    const run = this.runs.find(({ end }) => end > page);
    return run === undefined ? undefined : { first: Math.max(run.first, page), end: run.end };
  }
}

test('holes have the digest of a zero page and are not read', async (t) => {
  const digester = await PageDigester.create(settings);
  const random = new Random(1);
  const holey = new HoleyMemory(1000);
  for (const { first, end } of holey.runs) {
    random.fill(holey.bytes.subarray(first * 4096, end * 4096));
  }
  const plain = new ArrayMemory(1000);
  plain.bytes.set(holey.bytes);
  const [withHoles, without] = [new Uint8Array(8000), new Uint8Array(8000)];
  digester.digestRange(holey, 0, 1000, withHoles);
  digester.digestRange(plain, 0, 1000, without);
  t.true(Buffer.from(withHoles).equals(without));
  t.is(Buffer.from(withHoles).readBigUInt64LE(0), digester.zeroPageDigest);
  const part = new Uint8Array(8 * 20);
  digester.digestRange(holey, 295, 20, part);
  t.true(Buffer.from(part).equals(without.subarray(295 * 8, 315 * 8)));
  digester.digestRange(holey, 0, 0, part);
});

test('scattered pages have the digests that they have in a scan', async (t) => {
  const digester = await PageDigester.create(settings);
  const memory = new ArrayMemory(700);
  new Random(2).fill(memory.bytes);
  const table = new Uint8Array(700 * 8);
  digester.digestRange(memory, 0, 700, table);
  const pages = Uint32Array.from({ length: 600 }, (_, i) => (i * 131) % 700);
  const digests = new Uint8Array(600 * 8);
  digester.digestPages(memory, pages, 600, digests);
  for (const [i, page] of pages.entries()) {
    const expected = Buffer.from(table.subarray(page * 8, page * 8 + 8));
    if (!expected.equals(digests.subarray(i * 8, i * 8 + 8))) t.fail(`page ${page}`);
  }
  t.pass();
});

test('the RAM digest is the sum of its regions, and follows changes by difference', async (t) => {
  const digester = await PageDigester.create(settings);
  const random = new Random(3);
  const count = 20_000;
  const table = new Uint8Array(count * 8);
  random.fill(table);
  const root = digester.foldRoot(table);
  let sum = 0n;
  for (let first = 0; first < count; first += 1000) {
    sum += digester.foldRange(table.subarray(first * 8, (first + 1000) * 8), first);
  }
  t.is(BigInt.asUintN(64, sum), root);
  const pages = Uint32Array.from({ length: 9000 }, (_, i) => i * 2);
  const before = new Uint8Array(9000 * 8);
  for (const [i, page] of pages.entries()) {
    before.set(table.subarray(page * 8, page * 8 + 8), i * 8);
  }
  const after = new Uint8Array(9000 * 8);
  random.fill(after);
  for (const [i, page] of pages.entries()) {
    table.set(after.subarray(i * 8, i * 8 + 8), page * 8);
  }
  t.is(digester.updateRoot(root, pages, 9000, before, after), digester.foldRoot(table));
});

test('the same content on another page is another RAM digest', async (t) => {
  const digester = await PageDigester.create(settings);
  const memory = new ArrayMemory(8);
  const digestOf = (page: number, value: number): bigint => {
    memory.bytes.fill(0);
    memory.page(page)[0] = value;
    const table = new Uint8Array(64);
    digester.digestRange(memory, 0, 8, table);
    return digester.foldRoot(table);
  };
  const seen = new Set([digestOf(0, 0)]);
  for (let page = 0; page < 8; page++) {
    for (const value of [1, 2, 255]) seen.add(digestOf(page, value));
  }
  t.is(seen.size, 25);
});

test('another secret is another digest', async (t) => {
  const other = await PageDigester.create({ ...settings, secret: secretFor(2) });
  const digester = await PageDigester.create(settings);
  t.not(other.zeroPageDigest, digester.zeroPageDigest);
  await t.throwsAsync(PageDigester.create({ ...settings, secret: new Uint8Array(191) }));
});
