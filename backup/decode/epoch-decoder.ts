import {
  type ChunkHeader,
  chunkBytesMax,
  chunkHeaderBytes,
  chunkPagesMax,
  chunkSourcesMax,
  corruptChunk,
  groupHeaderBytes,
  readChunkHeader,
  stagedSource,
} from '../../shared/codec/chunk.ts';
import type { CodecSettings } from '../../shared/codec/codec-settings.ts';
import { decompressGroup } from '../../shared/codec/general.ts';
import { type Arena, createKernels, type Kernels } from '../../shared/codec/kernels.ts';
import { pageBytes } from '../../shared/ids.ts';
import type { GuestMemory } from '../../shared/memory/guest-memory.ts';
import { warmUp } from './warm-up.ts';

/** What a chunk is decoded against. Both are only read. */
export interface DecodeSource {
  /** RAM as it was before the epoch that is being decoded. */
  readonly ram: GuestMemory;
  /**
   * The newest image of a page that this epoch has staged so far (4096 bytes, read at once), or
   * undefined where the epoch has not touched the page yet.
   */
  staged(page: number): Uint8Array | undefined;
}

/** Takes post-images. What it was given must be visible in `DecodeSource.staged` on return. */
export interface DecodeSink {
  stage(batch: PageBatch): void;
}

/** Whole pages as they are after the epoch. Everything is valid during the call only. */
export interface PageBatch {
  /** Page numbers, the first `count` of them. No page is in a batch twice. */
  readonly pages: Uint32Array;
  readonly count: number;
  /** `count` pages of 4096 bytes. */
  readonly images: Uint8Array;
  /** `count` page digests of 8 bytes (little endian), each of the image of the same place. */
  readonly digests: Uint8Array;
}

const recordBytes = 40;
const recordWords = recordBytes / 4;
/** In a record's second word: the page is needed as it was. */
const needsBefore = 8;

/** Turns chunk payloads (`shared/codec/chunk.ts`) back into whole pages. */
export class EpochDecoder {
  readonly memoryBytes: number;
  readonly #settings: CodecSettings;
  readonly #kernels: Kernels;
  readonly #at: Regions;
  readonly #pages = new Uint32Array(chunkPagesMax);
  readonly #needed = new Uint8Array(chunkPagesMax);
  readonly #sources = new Uint32Array(chunkSourcesMax);

  static #warm: Promise<void> | undefined;

  private constructor(settings: CodecSettings, kernels: Kernels, regions: Regions) {
    this.#settings = settings;
    this.#kernels = kernels;
    this.#at = regions;
    this.memoryBytes = kernels.memoryBytes;
    const { records, images, sources, stamps } = regions;
    kernels.run.initDecode(settings.pageCount, records, images, sources, stamps);
  }

  /** Throws `E_GUEST_TOO_LARGE` (never for less than 2 TiB of RAM). */
  static async create(settings: CodecSettings): Promise<EpochDecoder> {
    EpochDecoder.#warm ??= warmUp();
    await EpochDecoder.#warm;
    const { kernels, regions } = await createKernels(settings, (arena) =>
      planRegions(arena, settings.pageCount),
    );
    return new EpochDecoder(settings, kernels, regions);
  }

  /**
   * Decodes one chunk: gives its pages to `sink` in one batch. Chunks of an epoch must come in the
   * order in which they were encoded. Returns how many pages there were.
   * Throws UnderstudyError `E_CHUNK_CORRUPT` for bytes that no encoder wrote; nothing of such a
   * chunk is staged.
   */
  decode(payload: Uint8Array, source: DecodeSource, sink: DecodeSink): number {
    const header = readChunkHeader(payload);
    if (header.blockBytes !== this.#settings.blockBytes) {
      throw corruptChunk('has blocks of another size than the session', 5);
    }
    const { run } = this.#kernels;
    const at = this.#at;
    this.#kernels.bytes(at.input, payload.length).set(payload);
    const headsAt = chunkHeaderBytes + header.groupsBytes;
    const bodiesAt = headsAt + header.headsBytes;
    const sourcesAt = bodiesAt + header.bodiesBytes;
    const generalBytes = run.decodeHeads(at.input + headsAt, at.input + bodiesAt, header.pages);
    if (generalBytes < 0) throw this.#fault('has a bad page head');
    this.#unpackGroups(payload, header, generalBytes);
    this.#fetchBefore(header.pages, source);
    this.#fetchSources(payload, sourcesAt, header.sources, source);
    const isWhole = run.decodeBodies(
      at.input + bodiesAt,
      at.input + sourcesAt,
      header.pages,
      header.sources,
      at.general,
    );
    if (isWhole === 0) throw this.#fault('has a bad page body');
    this.#stage(header.pages, sink);
    return header.pages;
  }

  #stage(count: number, sink: DecodeSink): void {
    if (count === 0) return;
    this.#kernels.run.digestImages(this.#at.images, count, this.#at.digests);
    sink.stage({
      pages: this.#pages,
      count,
      images: this.#kernels.bytes(this.#at.images, count * pageBytes),
      digests: this.#kernels.bytes(this.#at.digests, count * 8),
    });
  }

  #unpackGroups(payload: Uint8Array, header: ChunkHeader, expectedBytes: number): void {
    const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
    const end = chunkHeaderBytes + header.groupsBytes;
    let at = chunkHeaderBytes;
    let plainTotal = 0;
    for (let group = 0; group < header.groups; group++) {
      if (at + groupHeaderBytes > end) throw corruptChunk('ends within a group', at);
      const plainBytes = view.getUint32(at, true);
      const packedBytes = view.getUint32(at + 4, true);
      const storedBytes = packedBytes === 0 ? plainBytes : packedBytes;
      const from = at + groupHeaderBytes;
      if (plainBytes === 0 || plainTotal + plainBytes > expectedBytes) {
        throw corruptChunk('has a group of a wrong size', at);
      }
      if (from + storedBytes > end) throw corruptChunk('ends within a group', at);
      const packed = payload.subarray(from, from + storedBytes);
      const plain = this.#kernels.bytes(this.#at.general + plainTotal, plainBytes);
      if (packedBytes === 0) plain.set(packed);
      else if (!decompressGroup(header.generalCodec, packed, plain)) {
        throw corruptChunk('has a group that cannot be unpacked', from);
      }
      plainTotal += plainBytes;
      at = from + storedBytes;
    }
    if (at !== end) throw corruptChunk('has bytes after its groups', at);
    if (plainTotal !== expectedBytes) throw corruptChunk('lacks literals', chunkHeaderBytes);
  }

  /** Puts each page that is not sent whole where it will be changed, as it was. */
  #fetchBefore(count: number, source: DecodeSource): void {
    const records = this.#kernels.words(this.#at.records, count * recordWords);
    const images = this.#kernels.bytes(this.#at.images, count * pageBytes);
    const needed = this.#needed;
    for (let i = 0; i < count; i++) {
      this.#pages[i] = records[i * recordWords]!;
      needed[i] = records[i * recordWords + 1]! & needsBefore;
    }
    fetchPages(this.#pages, count, images, source.ram, (i) => {
      if (needed[i] === 0) return skip;
      return source.staged(this.#pages[i]!);
    });
  }

  #fetchSources(payload: Uint8Array, at: number, count: number, source: DecodeSource): void {
    const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
    const images = this.#kernels.bytes(this.#at.sources, count * pageBytes);
    const staged = this.#needed;
    for (let i = 0; i < count; i++) {
      const named = view.getUint32(at + 4 * i, true);
      staged[i] = named >= stagedSource ? 1 : 0;
      this.#sources[i] = named % stagedSource;
      if (this.#sources[i]! >= this.#settings.pageCount) {
        throw corruptChunk('refers to a page outside RAM', at + 4 * i);
      }
    }
    fetchPages(this.#sources, count, images, source.ram, (i) => {
      if (staged[i] === 0) return undefined;
      const image = source.staged(this.#sources[i]!);
      if (image !== undefined) return image;
      throw corruptChunk('refers to a page that this epoch has not sent', at + 4 * i);
    });
  }

  #fault(what: string): Error {
    return corruptChunk(what, (this.#kernels.run.decodeFault() >>> 0) - this.#at.input);
  }
}

const skip = Symbol('skip');

/** Fills `images`: page `i` with what `imageOf(i)` gives, from `ram` where that is undefined. */
function fetchPages(
  pages: Uint32Array,
  count: number,
  images: Uint8Array,
  ram: GuestMemory,
  imageOf: (i: number) => Uint8Array | undefined | typeof skip,
): void {
  let pending = 0;
  for (let i = 0; i <= count; i++) {
    const image = i === count ? skip : imageOf(i);
    if (image === undefined) {
      pending += 1;
      continue;
    }
    const first = i - pending;
    if (pending > 0) ram.copyPages(pages.subarray(first, i), pending, images, first * pageBytes);
    pending = 0;
    if (image !== skip) images.set(image, i * pageBytes);
  }
}

interface Regions {
  readonly input: number;
  readonly records: number;
  readonly images: number;
  readonly digests: number;
  readonly sources: number;
  readonly general: number;
  readonly stamps: number;
}

function planRegions(arena: Arena, pageCount: number): Regions {
  return {
    input: arena.reserve(chunkBytesMax + pageBytes),
    records: arena.reserve(chunkPagesMax * recordBytes),
    images: arena.reserve(chunkPagesMax * pageBytes),
    digests: arena.reserve(chunkPagesMax * 8),
    sources: arena.reserve(chunkSourcesMax * pageBytes),
    general: arena.reserve(chunkPagesMax * pageBytes),
    stamps: arena.reserve(pageCount * 4),
  };
}
