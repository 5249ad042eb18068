/**
 * Reads what the image builder needs from 64-bit little-endian ELF files: the libraries that a
 * program asks for and the modules that a kernel module asks for. Layout: elf(5).
 */

export interface ElfNeeds {
  /** Path of the dynamic loader (PT_INTERP), or undefined. */
  readonly interpreter: string | undefined;
  /** Names of shared libraries (DT_NEEDED), in the file's order. */
  readonly libraries: readonly string[];
}

const segmentDynamic = 2;
const segmentInterpreter = 3;
const segmentLoad = 1;
const tagNeeded = 1;
const tagStringTable = 5;

/** Throws a RangeError or Error where `file` is not such an ELF file. */
export function readElfNeeds(file: Buffer): ElfNeeds {
  checkElf(file);
  const segments = readSegments(file);
  const interpreter = segments.find((s) => s.type === segmentInterpreter);
  const dynamic = segments.find((s) => s.type === segmentDynamic);
  return {
    interpreter: interpreter && readString(file, interpreter.offset),
    libraries: dynamic === undefined ? [] : readLibraries(file, segments, dynamic),
  };
}

/** Names of the modules that a kernel module depends on (`depends=` in its .modinfo). */
export function readModuleDepends(file: Buffer): string[] {
  checkElf(file);
  const info = readSection(file, '.modinfo');
  const lines = info.toString('latin1').split('\0');
  const depends = lines.find((line) => line.startsWith('depends='))?.slice('depends='.length);
  return (depends ?? '').split(',').filter((name) => name !== '');
}

function checkElf(file: Buffer): void {
  const is64BitLittleEndian = file.length >= 64 && file[4] === 2 && file[5] === 1;
  if (!is64BitLittleEndian || file.readUInt32BE(0) !== 0x7f454c46) {
    throw new Error('not a 64-bit little-endian ELF file');
  }
}

interface Segment {
  readonly type: number;
  readonly offset: number;
  readonly address: number;
  readonly bytes: number;
}

function readSegments(file: Buffer): Segment[] {
  const tableOffset = readU64(file, 32);
  const entryBytes = file.readUInt16LE(54);
  const count = file.readUInt16LE(56);
  return Array.from({ length: count }, (_, i) => {
    const at = tableOffset + i * entryBytes;
    return {
      type: file.readUInt32LE(at),
      offset: readU64(file, at + 8),
      address: readU64(file, at + 16),
      bytes: readU64(file, at + 32),
    };
  });
}

function readLibraries(file: Buffer, segments: Segment[], dynamic: Segment): string[] {
  const nameOffsets: number[] = [];
  let stringsAddress: number | undefined;
  for (let at = dynamic.offset; at < dynamic.offset + dynamic.bytes; at += 16) {
    const tag = readU64(file, at);
    if (tag === 0) break;
    if (tag === tagNeeded) nameOffsets.push(readU64(file, at + 8));
    if (tag === tagStringTable) stringsAddress = readU64(file, at + 8);
  }
  if (stringsAddress === undefined) return [];
  const address = stringsAddress;
  const home = segments.find(
    (s) => s.type === segmentLoad && s.address <= address && address < s.address + s.bytes,
  );
  if (home === undefined) throw new Error('ELF string table lies in no segment');
  const strings = home.offset + (address - home.address);
  return nameOffsets.map((offset) => readString(file, strings + offset));
}

function readSection(file: Buffer, wanted: string): Buffer {
  const tableOffset = readU64(file, 40);
  const entryBytes = file.readUInt16LE(58);
  const count = file.readUInt16LE(60);
  const section = (i: number) => {
    const at = tableOffset + i * entryBytes;
    const offset = readU64(file, at + 24);
    return { name: file.readUInt32LE(at), offset, bytes: readU64(file, at + 32) };
  };
  const names = section(file.readUInt16LE(62)).offset;
  for (let i = 0; i < count; i++) {
    const { name, offset, bytes } = section(i);
    if (readString(file, names + name) === wanted) return file.subarray(offset, offset + bytes);
  }
  throw new Error(`ELF file has no section ${wanted}`);
}

const readU64 = (file: Buffer, at: number) => Number(file.readBigUInt64LE(at));

function readString(file: Buffer, at: number): string {
  const end = file.indexOf(0, at);
  if (end < 0) throw new RangeError('ELF string without an end');
  return file.toString('latin1', at, end);
}
