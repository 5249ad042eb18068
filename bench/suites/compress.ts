import { compressGroup, decompressGroup } from '../../shared/codec/general.ts';
import { createKernels, type Kernels } from '../../shared/codec/kernels.ts';
import type { PageKind } from '../../shared/guest/workload/page-content.ts';
import { pageBytes } from '../../shared/ids.ts';
import { benchSecret } from '../encoder-options.ts';
import { guestPages, pagesOf } from '../guest-data.ts';
import { type Contender, race, repeated } from '../race.ts';
import type { Row } from '../row.ts';
import type { Suite, SuiteOptions } from '../suite.ts';

/** The codecs of section 3.2 of the paper, each on the pages that it is meant for. */
export const compressSuite: Suite = {
  name: 'compress',
  title: 'Compress',
  about: `GB/s of input, on one thread. WKdm and zero-run take a page a call, lz4 and gzip groups
of 256 KiB. "Guest pages" are what a synthetic guest holds that is neither a hole nor zero (text,
programs, structures, tables, compressed data); the kinds below them are those pages apart. Each
codec's output is decompressed and compared before anything is timed.`,
  rowIds: ['compress.wkdm', 'decompress.wkdm', 'compress.zero-run'],
  run: async ({ quick, progress }: SuiteOptions): Promise<Row[]> => {
    const pageCount = (quick ? 1 : 16) * 256;
    const guest = nonZeroPages(guestPages(pageCount));
    progress('compress: preparing');
    const kinds: readonly PageKind[] = ['pointers', 'text', 'code'];
    const contenders = [
      ...(await wkdm('wkdm', 'guest pages', guest)),
      ...(await Promise.all(kinds.map((kind) => wkdm(`wkdm-${kind}`, kind, pagesOf(kind, 1024))))),
      ...(await zeroRun(pagesOf('sparse', pageCount))),
      ...general('lz4', guest),
      ...general('gzip', guest),
    ].flat();
    const rows = await race(contenders, { rounds: quick ? 3 : 15, roundMs: quick ? 10 : 80 });
    return [...rows, ...ratios];
  },
};

/** Bytes left of each codec's input, filled while the contenders are prepared. */
const ratios: Row[] = [];

function noteRatio(id: string, what: string, share: number): void {
  ratios.push({ id: `share.${id}`, what: `Bytes left: ${what}`, unit: 'share', values: [share] });
}

interface PageCodec {
  readonly id: string;
  readonly what: string;
  /** Returns where the output ended. */
  encode(run: Kernels['run'], source: number, target: number): number;
  decode(run: Kernels['run'], source: number, end: number, target: number): void;
}

function wkdm(id: string, what: string, data: Uint8Array): Promise<Contender[]> {
  const words = pageBytes / 4;
  const codec: PageCodec = {
    id,
    what: `WKdm, ${what}`,
    encode: (run, source, target) => run.wkdmEncode(source, words, target),
    decode: (run, source, end, target) => void run.wkdmDecode(source, end, words, target),
  };
  return pageByPage(codec, data);
}

function zeroRun(data: Uint8Array): Promise<Contender[]> {
  const units = pageBytes / 64;
  const codec: PageCodec = {
    id: 'zero-run',
    what: 'Zero-run, sparse pages',
    encode: (run, source, target) => run.zeroRunEncode(source, units, target),
    decode: (run, source, end, target) => void run.zeroRunDecode(source, end, units, target),
  };
  return pageByPage(codec, data);
}

/** Room for a page that grows. */
const slotBytes = 2 * pageBytes;

async function pageByPage(codec: PageCodec, data: Uint8Array): Promise<Contender[]> {
  const pageCount = data.length / pageBytes;
  const settings = { blockBytes: 64 as const, hash: 'xxh3' as const, secret: benchSecret() };
  const { kernels, regions } = await createKernels(settings, (arena) => ({
    plain: arena.reserve(data.length),
    packed: arena.reserve(pageCount * slotBytes),
    again: arena.reserve(data.length),
  }));
  const { plain, packed, again } = regions;
  kernels.bytes(plain, data.length).set(data);
  const ends = new Uint32Array(pageCount);
  const encode = (first: number, end: number): void => {
    for (let i = first; i < end; i++) {
      ends[i] = codec.encode(kernels.run, plain + i * pageBytes, packed + i * slotBytes);
    }
  };
  const decode = (first: number, end: number): void => {
    for (let i = first; i < end; i++) {
      codec.decode(kernels.run, packed + i * slotBytes, ends[i]!, again + i * pageBytes);
    }
  };
  encode(0, pageCount);
  decode(0, pageCount);
  if (Buffer.compare(kernels.bytes(again, data.length), data) !== 0) {
    throw new Error(`${codec.what}: what came out is not what went in`);
  }
  const bytesOut = ends.reduce((sum, end, i) => sum + end - (packed + i * slotBytes), 0);
  noteRatio(codec.id, codec.what, bytesOut / data.length);
  const { id, what } = codec;
  const shared = { unit: 'GB/s' as const, work: callPages * pageBytes };
  return [
    repeated({ ...shared, id: `compress.${id}`, what, run: inTurn(pageCount, encode) }),
    repeated({
      ...shared,
      id: `decompress.${id}`,
      what: `${what}, back`,
      run: inTurn(pageCount, decode),
    }),
  ];
}

/** Pages of one call: as many as take about half a millisecond. */
const callPages = 256;

/** A function that works on the next `callPages` pages each time, round and round. */
function inTurn(pageCount: number, work: (first: number, end: number) => void): () => void {
  let first = 0;
  return () => {
    work(first, first + callPages);
    first = first + 2 * callPages <= pageCount ? first + callPages : 0;
  };
}

const groupBytes = 256 * 1024;

function general(codec: 'lz4' | 'gzip', data: Uint8Array): Contender[] {
  const groups = Array.from({ length: Math.floor(data.length / groupBytes) }, (_, i) =>
    data.subarray(i * groupBytes, (i + 1) * groupBytes),
  );
  const output = new Uint8Array(groupBytes);
  const packed = groups.map((group) => {
    const bytes = compressGroup(codec, group, output, 0);
    if (bytes === 0) throw new Error(`${codec} did not make a group of guest pages smaller`);
    return output.slice(0, bytes);
  });
  for (const [i, bytes] of packed.entries()) {
    if (!decompressGroup(codec, bytes, output) || Buffer.compare(output, groups[i]!) !== 0) {
      throw new Error(`${codec}: what came out is not what went in`);
    }
  }
  const what = `${codec === 'gzip' ? 'gzip-1' : codec}, guest pages, 256 KiB at a time`;
  const work = groups.length * groupBytes;
  noteRatio(codec, what, packed.reduce((sum, { length }) => sum + length, 0) / work);
  const shared = { unit: 'GB/s' as const, work: groupBytes };
  let next = 0;
  const turn = (): number => next++ % groups.length;
  const compress = (): void => void compressGroup(codec, groups[turn()]!, output, 0);
  const restore = (): void => void decompressGroup(codec, packed[turn()]!, output);
  return [
    repeated({ ...shared, id: `compress.${codec}`, what, run: compress }),
    repeated({ ...shared, id: `decompress.${codec}`, what: `${what}, back`, run: restore }),
  ];
}

function nonZeroPages(data: Uint8Array): Uint8Array {
  const zero = new Uint8Array(pageBytes);
  const kept: Uint8Array[] = [];
  for (let at = 0; at < data.length; at += pageBytes) {
    const page = data.subarray(at, at + pageBytes);
    if (Buffer.compare(page, zero) !== 0) kept.push(page);
  }
  return new Uint8Array(Buffer.concat(kept));
}
