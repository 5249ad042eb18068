import { UnderstudyError } from '../errors.ts';

/*
 * QEMU's migration stream, big-endian throughout (QEMU: migration/savevm.c, ram.c, vmstate.c):
 *
 *   u32 "QEVM"  u32 version 3
 *   07  configuration: u32 n, machine name, then subsections (05 …)
 *   01  section start: u32 id, u8 n, name, u32 instance, u32 version, data, footer
 *   02/03  section part/end: u32 id, data, footer
 *   04  section full: as start; a device's whole state
 *   08  command: u16 command, u16 n, n bytes
 *   00  end;  06  description of the devices: u32 n, n bytes of JSON
 *   footer: 7e u32 id (machine types since 2.5)
 *
 * Only `ram` is sent in parts. Its data is a list of records, each starting with a u64 whose low
 * 12 bits are flags; with x-ignore-shared the pages of the shared RAM file are left out.
 *
 * xen-save-devices-state writes: u32 "QEVM", u32 version 3, sections "full", 00.
 */

/** What parsing a baseline found. */
export interface BaselineLayout {
  /** Offset of the first device: everything before it is kept when device state is spliced in. */
  readonly devicesAt: number;
  /** RAM blocks that lie outside the RAM file, with the number of pages in the stream. */
  readonly blocks: readonly StreamBlock[];
}

export interface StreamBlock {
  readonly name: string;
  readonly bytes: number;
}

/**
 * One stream that a standby loads: the baseline up to its first device, then an epoch's devices.
 * Throws `E_BASELINE_CORRUPT` or `E_DEVICE_STATE_CORRUPT`.
 */
export function spliceStream(baseline: Uint8Array, deviceState: Uint8Array): Uint8Array {
  const { devicesAt } = parseBaseline(baseline);
  checkDeviceState(deviceState);
  const devices = deviceState.subarray(headerBytes);
  const stream = new Uint8Array(devicesAt + devices.length + emptyDescription.length);
  stream.set(baseline.subarray(0, devicesAt), 0);
  stream.set(devices, devicesAt);
  // QEMU looks for a description behind the end and warns where there is none.
  stream.set(emptyDescription, devicesAt + devices.length);
  return stream;
}

/** Parses a baseline up to its first device. Throws `E_BASELINE_CORRUPT` with the offset. */
export function parseBaseline(stream: Uint8Array): BaselineLayout {
  const reader = new StreamReader(stream, 'E_BASELINE_CORRUPT', 'the baseline');
  readHeader(reader);
  const blocks: StreamBlock[] = [];
  let ramId: number | undefined;
  for (;;) {
    const at = reader.offset;
    const type = reader.u8();
    switch (type) {
      case sectionFull:
        if (ramId === undefined) throw reader.corrupt('devices before the RAM', at);
        checkEnd(stream, reader);
        return { devicesAt: at, blocks };
      case configuration:
        readConfiguration(reader);
        break;
      case command:
        reader.skip(2);
        reader.skip(reader.u16());
        break;
      case sectionStart: {
        const section = readSectionHead(reader);
        if (section.name !== 'ram' || ramId !== undefined) {
          throw reader.corrupt(`section "${section.name}" is sent in parts`, at);
        }
        ramId = section.id;
        readRam(reader, blocks);
        readFooter(reader, section.id);
        break;
      }
      case sectionPart:
      case sectionEnd: {
        const id = reader.u32();
        if (id !== ramId) throw reader.corrupt(`a part of the unknown section ${id}`, at);
        readRam(reader, blocks);
        readFooter(reader, id);
        break;
      }
      default:
        throw reader.corrupt(`a section of the unknown type ${type}`, at);
    }
  }
}

/**
 * Checks the frame of a device-state file: header, a first device, and the end mark. The devices
 * themselves have no lengths: only QEMU can parse them. Throws `E_DEVICE_STATE_CORRUPT`.
 */
export function checkDeviceState(bytes: Uint8Array): void {
  const reader = new StreamReader(bytes, 'E_DEVICE_STATE_CORRUPT', 'the device state');
  readHeader(reader);
  const at = reader.offset;
  const type = reader.u8();
  if (type !== sectionFull) throw reader.corrupt(`no device but type ${type}`, at);
  readSectionHead(reader);
  const last = bytes.length - 1;
  // The last device's footer (7e and its id) stands before the end mark.
  if (bytes[last] !== endMark || bytes[last - footerBytes] !== footer) {
    throw reader.corrupt('no end mark: it was cut short', last);
  }
}

const magic = 0x5145_564d;
const version = 3;
const headerBytes = 8;
const footerBytes = 5;

const endMark = 0x00;
const sectionStart = 0x01;
const sectionPart = 0x02;
const sectionEnd = 0x03;
const sectionFull = 0x04;
const subsection = 0x05;
const description = 0x06;
const configuration = 0x07;
const command = 0x08;
const footer = 0x7e;
const emptyDescription = Uint8Array.of(description, 0, 0, 0, 0);

const ramZero = 0x02;
const ramMemSize = 0x04;
const ramPage = 0x08;
const ramEndOfSection = 0x10;
const ramContinue = 0x20;
const pageBytes = 4096;

function readHeader(reader: StreamReader): void {
  if (reader.u32() !== magic) throw reader.corrupt('not a migration stream', 0);
  const found = reader.u32();
  if (found !== version) throw reader.corrupt(`stream version ${found} instead of ${version}`, 4);
}

/** The machine's name, and the subsections that QEMU 7.2 knows. */
function readConfiguration(reader: StreamReader): void {
  reader.skip(reader.u32());
  while (reader.peek() === subsection) {
    const at = reader.offset;
    reader.skip(1);
    const name = reader.text(reader.u8());
    reader.skip(4); // version
    switch (name) {
      case 'configuration/target-page-bits':
        reader.skip(4);
        break;
      case 'configuration/capabilities': {
        const count = reader.u32();
        for (let i = 0; i < count; i++) reader.skip(reader.u8());
        break;
      }
      case 'configuration/uuid':
        reader.skip(16);
        break;
      default:
        throw reader.corrupt(`unknown subsection "${name}"`, at);
    }
  }
}

function readSectionHead(reader: StreamReader): { readonly id: number; readonly name: string } {
  const id = reader.u32();
  const name = reader.text(reader.u8());
  reader.skip(8); // instance, version
  return { id, name };
}

function readFooter(reader: StreamReader, id: number): void {
  const at = reader.offset;
  if (reader.u8() !== footer || reader.u32() !== id) throw reader.corrupt('no section footer', at);
}

/** Records until the end of the section; each reads at least 8 bytes, so this ends. */
function readRam(reader: StreamReader, blocks: StreamBlock[]): void {
  for (;;) {
    const at = reader.offset;
    const { address, flags } = reader.pageWord();
    if (flags === ramEndOfSection) return;
    const continued = (flags & ramContinue) !== 0;
    switch (flags & ~ramContinue) {
      case ramMemSize:
        readBlockList(reader, address, blocks);
        break;
      case ramZero:
        readBlockName(reader, continued);
        reader.skip(1);
        break;
      case ramPage:
        readBlockName(reader, continued);
        reader.skip(pageBytes);
        break;
      default:
        throw reader.corrupt(`a RAM record with the unknown flags 0x${flags.toString(16)}`, at);
    }
  }
}

function readBlockName(reader: StreamReader, continued: boolean): void {
  if (!continued) reader.skip(reader.u8());
}

/** Each block: its name, its size and, with x-ignore-shared, its address in the guest. */
function readBlockList(reader: StreamReader, totalBytes: number, blocks: StreamBlock[]): void {
  for (let left = totalBytes; left > 0; ) {
    const at = reader.offset;
    const name = reader.text(reader.u8());
    const bytes = reader.u64();
    reader.skip(8);
    if (bytes === 0 || bytes > left) throw reader.corrupt(`block "${name}" of ${bytes} bytes`, at);
    blocks.push({ name, bytes });
    left -= bytes;
  }
}

/** A whole stream ends with its description; a stream cut among its devices does not. */
function checkEnd(stream: Uint8Array, reader: StreamReader): void {
  const tail = stream.lastIndexOf(description, stream.length - 5);
  for (let at = tail; at > reader.offset; at = stream.lastIndexOf(description, at - 1)) {
    const length = new DataView(stream.buffer, stream.byteOffset + at + 1, 4).getUint32(0);
    if (at + 5 + length === stream.length && stream[at - 1] === endMark) return;
  }
  throw reader.corrupt('no end: it was cut short', stream.length);
}

/** Reads big-endian values; whatever lies outside the bytes is a corrupt stream, not a crash. */
class StreamReader {
  readonly #view: DataView;
  readonly #code: string;
  readonly #what: string;
  #offset = 0;

  constructor(bytes: Uint8Array, code: string, what: string) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#code = code;
    this.#what = what;
  }

  get offset(): number {
    return this.#offset;
  }

  peek(): number | undefined {
    return this.#offset < this.#view.byteLength ? this.#view.getUint8(this.#offset) : undefined;
  }

  u8(): number {
    return this.#view.getUint8(this.#take(1));
  }

  u16(): number {
    return this.#view.getUint16(this.#take(2));
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4));
  }

  /** Sizes are below 2^53; a larger one is corrupt wherever it is used. */
  u64(): number {
    const at = this.#take(8);
    return this.#view.getUint32(at) * 2 ** 32 + this.#view.getUint32(at + 4);
  }

  /** A RAM record's first word: page address (or a size) and flags in the low 12 bits. */
  pageWord(): { readonly address: number; readonly flags: number } {
    const at = this.#take(8);
    const low = this.#view.getUint32(at + 4);
    const high = this.#view.getUint32(at);
    return { address: high * 2 ** 32 + (low - (low & 0xfff)), flags: low & 0xfff };
  }

  text(length: number): string {
    const at = this.#take(length);
    return Buffer.from(this.#view.buffer, this.#view.byteOffset + at, length).toString('latin1');
  }

  skip(length: number): void {
    this.#take(length);
  }

  corrupt(what: string, offset: number): UnderstudyError {
    return new UnderstudyError(this.#code, `${this.#what} is corrupt at byte ${offset}: ${what}`, {
      hint: 'Take a new baseline of the guest; a repeated failure means a QEMU of another version.',
      fields: { offset, bytes: this.#view.byteLength },
    });
  }

  #take(length: number): number {
    const at = this.#offset;
    if (length > this.#view.byteLength - at) throw this.corrupt('it was cut short', at);
    this.#offset = at + length;
    return at;
  }
}
