import { pageBytes } from '../../ids.ts';
import { Random } from '../../random.ts';
import { KeyValueLayout } from './key-value-layout.ts';
import { fillPhrases, writeAscii, writeDecimal } from './phrases.ts';
import type { Region, Workload } from './workload.ts';
import { Zipf } from './zipf.ts';

/**
 * A key-value store like Redis under SET: keys drawn by Zipf's law (YCSB's 0.99), values of 40
 * to 500 bytes overwritten in place or, one time in eight, put into another slot so that
 * pointers change; the command passes a network buffer and is appended to a log.
 * Its memory (see `KeyValueLayout`) holds what Redis holds: dict entries, objects, sds strings.
 */
export class KeyValueWorkload implements Workload {
  /** Word 0: commands so far; 1: byte in the network buffer; 2, 3: page of, byte in the log. */
  readonly cursor = new Uint32Array(4);
  readonly #region: Region;
  readonly #layout: KeyValueLayout;
  readonly #zipf: Zipf;

  constructor(region: Region) {
    this.#region = region;
    this.#layout = new KeyValueLayout(region.pageCount);
    this.#zipf = new Zipf(this.#layout.keyCount);
  }

  get keyCount(): number {
    return this.#layout.keyCount;
  }

  populate(): void {
    for (let key = 0; key < this.#layout.keyCount; key++) {
      this.#writeEntry(key);
      this.#writeValue(key, 0, 0);
      this.#writePointer(this.#layout.entryAt(key) + 8, this.#layout.objectAt(key, 0));
    }
  }

  step(): number {
    const { random } = this.#region;
    const command = (this.cursor[0]! + 1) >>> 0;
    this.cursor[0] = command;
    const key = this.#zipf.drawScattered(random);
    const entry = this.#layout.entryAt(key);
    const firstObject = this.#layout.pointerLow(this.#layout.objectAt(key, 0));
    const slotInUse = this.#read32(entry + 8) === firstObject ? 0 : 1;
    const move = (random.u32() & 7) === 0;
    this.#writeValue(key, move ? 1 - slotInUse : slotInUse, command);
    if (move) this.#writePointer(entry + 8, this.#layout.objectAt(key, 1 - slotInUse));
    this.#writeNetworkBuffer(key, command);
    this.#appendToLog(key, command);
    return key ^ command;
  }

  /** `dictEntry {void *key; void *val; dictEntry *next}`, its bucket and the key's sds. */
  #writeEntry(key: number): void {
    const layout = this.#layout;
    const entry = layout.entryAt(key);
    this.#writePointer(entry, layout.keyAt(key) + headerBytes);
    const bucket = layout.bucketAt(key);
    const previous = this.#read32(bucket);
    this.#write32(entry + 16, previous);
    this.#write32(entry + 20, this.#read32(bucket + 4));
    this.#writePointer(bucket, entry);
    const at = layout.keyAt(key);
    const bytes = this.#bytesAt(at);
    const start = this.#offsetOf(at);
    writeHeader(bytes, start, 20, 26);
    const end = writeAscii(bytes, start + headerBytes, 'user:');
    writeAscii(bytes, writeDecimal(bytes, end, key, 10), ':data');
  }

  /** `robj {type, encoding, lru; refcount; void *ptr}` and the value's sds. */
  #writeValue(key: number, slot: number, command: number): void {
    const layout = this.#layout;
    const object = layout.objectAt(key, slot);
    const value = layout.valueAt(key, slot);
    this.#write32(object, (command << 8) >>> 0);
    this.#write32(object + 4, 1);
    this.#writePointer(object + 8, value + headerBytes);
    const bytes = this.#bytesAt(value);
    const start = this.#offsetOf(value);
    const length = layout.valueLength(key);
    writeHeader(bytes, start, length, layout.slotBytes(key) - headerBytes - 1);
    const end = start + headerBytes + length;
    let at = writeAscii(bytes, start + headerBytes, '{"seq":');
    at = writeDecimal(bytes, at, command, 10);
    at = writeAscii(bytes, at, ',"id":');
    at = writeDecimal(bytes, at, key, 9);
    // The rest of the record is the key's own and stays, as a user's name and address do.
    fillPhrases(new Random(key), bytes, at, end);
    bytes[end] = 0;
  }

  /** The query buffer of a connection: 16 KiB that are written again and again. */
  #writeNetworkBuffer(key: number, command: number): void {
    const bufferBytes = this.#layout.bufferPages * pageBytes;
    let at = this.cursor[1]!;
    if ((at % pageBytes) + 96 > pageBytes) at = (at - (at % pageBytes) + pageBytes) % bufferBytes;
    this.cursor[1] = at + this.#writeCommand(at, key, command);
  }

  /** The append-only file, as it stands in the page cache. */
  #appendToLog(key: number, command: number): void {
    if (this.cursor[3]! + 96 > pageBytes) {
      this.cursor[2] = (this.cursor[2]! + 1) % this.#layout.logPages;
      this.cursor[3] = 0;
    }
    const at = (this.#layout.bufferPages + this.cursor[2]!) * pageBytes + this.cursor[3]!;
    this.cursor[3] = this.cursor[3]! + this.#writeCommand(at, key, command);
  }

  /** A SET in Redis' protocol, at most 96 bytes. Returns how many. */
  #writeCommand(address: number, key: number, command: number): number {
    const bytes = this.#bytesAt(address);
    const start = this.#offsetOf(address);
    let at = writeAscii(bytes, start, '*3\r\n$3\r\nSET\r\n$20\r\nuser:');
    at = writeDecimal(bytes, at, key, 10);
    at = writeAscii(bytes, at, ':data\r\n$32\r\n{"seq":');
    at = writeDecimal(bytes, at, command, 10);
    at = writeAscii(bytes, at, ',"id":');
    at = writeDecimal(bytes, at, key, 9);
    return writeAscii(bytes, at, '\r\n') - start;
  }

  #writePointer(address: number, target: number): void {
    this.#write32(address, this.#layout.pointerLow(target));
    this.#write32(address + 4, this.#layout.pointerHigh(target));
  }

  #write32(address: number, value: number): void {
    this.#region.memory.write32(this.#pageOf(address), address % pageBytes, value);
  }

  #read32(address: number): number {
    return this.#region.memory.read32(this.#pageOf(address), address % pageBytes);
  }

  #bytesAt(address: number): Uint8Array {
    return this.#region.memory.writeBytes(this.#pageOf(address));
  }

  #offsetOf(address: number): number {
    return this.#region.memory.offsetOf(this.#pageOf(address)) + (address % pageBytes);
  }

  #pageOf(address: number): number {
    return this.#region.firstPage + Math.floor(address / pageBytes);
  }
}

/** Redis' `sdshdr16`: length and room, two bytes each, and the type. */
const headerBytes = 5;

function writeHeader(bytes: Uint8Array, at: number, length: number, room: number): void {
  bytes[at] = length & 0xff;
  bytes[at + 1] = length >>> 8;
  bytes[at + 2] = room & 0xff;
  bytes[at + 3] = room >>> 8;
  bytes[at + 4] = 2;
}
