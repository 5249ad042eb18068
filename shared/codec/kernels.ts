/**
 * Loads the WASM kernels (`wasm/`). The module is compiled once; each encoder, decoder and digester
 * has an instance with a memory of its own, which is sized when it is made and never grows, so
 * views into it stay valid. There are two builds of the same source: instances of one have memory
 * of their own thread, those of the other memory that other threads see, too.
 */
import { readFile } from 'node:fs/promises';
import { UnderstudyError } from '../errors.ts';
import { type BlockBytes, type BlockHash, secretBytes } from './codec-settings.ts';

/** What the kernels need to know to hash. */
export interface HashSettings {
  readonly blockBytes: BlockBytes;
  readonly hash: BlockHash;
  readonly secret: Uint8Array;
}

export interface Kernels {
  readonly run: KernelExports;
  readonly memory: WebAssembly.Memory;
  /** Bytes of the instance's memory, unused parts included. */
  readonly memoryBytes: number;
  /** A view that stays valid. */
  bytes(offset: number, length: number): Uint8Array;
  words(offset: number, length: number): Uint32Array;
}

/** Addresses are unsigned, but come back signed from above 2 GiB: only counts are returned. */
export interface KernelExports {
  heapBase(): number;
  secretAt(): number;
  statsAt(): number;
  init(blockShift: number, xxh64: number): void;
  initIndex(pages: number, rows: number, digests: number, states: number): void;
  clearPages(first: number, end: number): void;
  initKept(n: number, copies: number, slots: number, slotOfPage: number, written: number): void;
  initShare(
    capture: number,
    capturePages: number,
    slots: number,
    slotNames: number,
    table: number,
    keptTable: number,
    keptEntries: number,
    keptNames: number,
  ): void;
  initSources(sources: number, sourcesMax: number): void;
  initHeld(table: number, entries: number, images: number): void;
  initClassify(
    group: number,
    compression: number,
    delta: number,
    general: number,
    wkdmCost: number,
    generalCost: number,
  ): void;
  initEncode(
    capture: number,
    capturePages: number,
    heads: number,
    bodies: number,
    touched: number,
    chunkPagesMax: number,
    groupBytesMax: number,
    sharing: number,
  ): void;
  setGeneral(on: number, wkdmCost: number, generalCost: number, ratio: number): void;
  beginEpoch(serial: number): void;
  beginSegment(slots: number): void;
  beginChunk(): void;
  encodePages(budget: number): number;
  headBytes(): number;
  bodyBytes(): number;
  pagesInChunk(): number;
  pagesTouched(): number;
  segmentCursor(): number;
  groupClosed(storedBytes: number): void;
  readonly groupBytes: WebAssembly.Global;
  readonly sourceCount: WebAssembly.Global;
  adoptRange(first: number, count: number, images: number): void;
  adoptZeros(first: number, end: number): void;
  adoptDigests(first: number, count: number, digests: number): void;
  forgetPages(pages: number, count: number): void;
  ramDigest(): bigint;
  zeroPageDigest(): bigint;
  foldDigests(digests: number, first: number, count: number): bigint;
  foldScattered(digests: number, pages: number, count: number): bigint;
  initDecode(pages: number, records: number, images: number, sources: number, stamps: number): void;
  decodeHeads(at: number, end: number, count: number): number;
  decodeBodies(at: number, end: number, count: number, sources: number, general: number): number;
  decodeFault(): number;
  digestImages(images: number, count: number, digests: number): void;
  identifyPages(images: number, rows: number, count: number, bitmaps: number): void;
  hashPage(image: number, row: number): bigint;
  xxh3(at: number, length: number): bigint;
  xxh64(at: number, length: number): bigint;
  wkdmEncode(source: number, words: number, target: number): number;
  wkdmDecode(source: number, end: number, words: number, target: number): number;
  zeroRunBytes(source: number, units: number): number;
  zeroRunLeast(source: number, units: number): number;
  zeroRunEncode(source: number, units: number, target: number): number;
  zeroRunDecode(source: number, end: number, units: number, target: number): number;
}

/** Hands out parts of a memory that is not there yet. */
export class Arena {
  #next: number;

  constructor(first: number) {
    this.#next = first;
  }

  /** Offset of `bytes` bytes, on a boundary of 64. */
  reserve(bytes: number): number {
    const offset = Math.ceil(this.#next / 64) * 64;
    this.#next = offset + bytes;
    return offset;
  }

  get end(): number {
    return this.#next;
  }
}

const wasmPageBytes = 65536;
const wasmPagesMax = 65536;
/** Vector loads reach past the last region. */
const slackBytes = 4096;

/** A memory with its regions; if it is shared, any thread can start kernels on it. */
export interface KernelSpace<Regions> {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  readonly regions: Regions;
}

/**
 * An instance with the regions that `plan` reserves. Throws `E_GUEST_TOO_LARGE` where they do not
 * fit in 4 GiB, and a plain Error for a secret of a wrong length.
 */
export async function createKernels<Regions>(
  settings: HashSettings,
  plan: (arena: Arena) => Regions,
): Promise<{ kernels: Kernels; regions: Regions }> {
  const space = await reserveKernels('own', plan);
  return { kernels: startKernels(space, settings), regions: space.regions };
}

/** Memory for kernels that are started by `startKernels`. Throws `E_GUEST_TOO_LARGE`. */
export async function reserveKernels<Regions>(
  build: KernelBuild,
  plan: (arena: Arena) => Regions,
): Promise<KernelSpace<Regions>> {
  const module = await kernelModule(build);
  knownHeapBase ??= instantiate(module, newMemory(build, 4), () => 0).heapBase();
  const arena = new Arena(knownHeapBase);
  const regions = plan(arena);
  const pages = Math.ceil((arena.end + slackBytes) / wasmPageBytes);
  if (pages > wasmPagesMax) throw tooLarge(pages * wasmPageBytes);
  return { module, memory: newMemory(build, pages), regions };
}

/**
 * Puts a page of the guest's RAM, as it is now, into a slot of the kernels' memory; 0 where it can't
 * be read.
 */
export type ReadPage = (page: number, slot: number) => 0 | 1;

/** An instance on memory that no kernels were started on before. */
export function startKernels(
  { module, memory }: Pick<KernelSpace<unknown>, 'module' | 'memory'>,
  settings: HashSettings,
  readPage: ReadPage = () => 0,
): Kernels {
  if (settings.secret.length !== secretBytes) throw new Error('the secret must be 192 bytes');
  const run = instantiate(module, memory, readPage);
  new Uint8Array(memory.buffer).set(settings.secret, run.secretAt());
  run.init(Math.log2(settings.blockBytes), settings.hash === 'xxh64' ? 1 : 0);
  return {
    run,
    memory,
    memoryBytes: memory.buffer.byteLength,
    bytes: (offset, length) => new Uint8Array(memory.buffer, offset, length),
    words: (offset, length) => new Uint32Array(memory.buffer, offset, length),
  };
}

export type KernelBuild = 'own' | 'shared';

const files: Readonly<Record<KernelBuild, string>> = {
  own: 'kernels.wasm',
  shared: 'kernels-shared.wasm',
};

const compiled = new Map<KernelBuild, Promise<WebAssembly.Module>>();

function kernelModule(build: KernelBuild): Promise<WebAssembly.Module> {
  let module = compiled.get(build);
  if (module === undefined) {
    const file = new URL(`../../wasm/${files[build]}`, import.meta.url);
    module = readFile(file).then((bytes) => WebAssembly.compile(bytes));
    compiled.set(build, module);
  }
  return module;
}

/** Of both builds: they have the same static data. */
let knownHeapBase: number | undefined;

function newMemory(build: KernelBuild, pages: number): WebAssembly.Memory {
  return new WebAssembly.Memory({ initial: pages, maximum: pages, shared: build === 'shared' });
}

function instantiate(
  module: WebAssembly.Module,
  memory: WebAssembly.Memory,
  readPage: ReadPage,
): KernelExports {
  // Not `WebAssembly.instantiate`: it waits for a turn of the event loop for the same work.
  const instance = new WebAssembly.Instance(module, { env: { memory, abort, readPage } });
  return instance.exports as unknown as KernelExports;
}

function abort(): never {
  throw new Error('a kernel gave up');
}

function tooLarge(bytes: number): UnderstudyError {
  return new UnderstudyError(
    'E_GUEST_TOO_LARGE',
    `the guest's hash index and buffers would take ${(bytes / 2 ** 30).toFixed(1)} GiB of 4 GiB`,
    {
      hint: 'Choose larger blocks (128 or 256 bytes), or less for captured and kept pages.',
      fields: { bytes },
    },
  );
}
