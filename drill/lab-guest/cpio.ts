/**
 * Writes an initramfs: a cpio archive in the "newc" format (Linux,
 * Documentation/driver-api/early-userspace/buffer-format.rst).
 *
 * ```
 * per entry: "070701" and 13 fields of 8 hex digits (110 bytes), name, NUL, zeros up to a
 *            multiple of 4, data, zeros up to a multiple of 4
 * last:      an entry named "TRAILER!!!"
 * ```
 *
 * The same entries in the same order give the same bytes: inode numbers count from 1, owner and
 * times are 0.
 */
export function writeCpio(entries: readonly CpioEntry[]): Buffer {
  const parts: Buffer[] = [];
  const seen = new Set<string>();
  for (const [index, entry] of entries.entries()) {
    if (seen.has(entry.name)) throw new Error(`cpio entry "${entry.name}" twice`);
    seen.add(entry.name);
    parts.push(...encodeEntry(entry, index + 1));
  }
  parts.push(...encodeEntry({ kind: 'file', name: 'TRAILER!!!', mode: 0, data: empty }, 0));
  return Buffer.concat(parts);
}

export type CpioEntry =
  /** `mode` has permission bits only. Names have no leading slash. */
  | { kind: 'file'; name: string; mode: number; data: Uint8Array }
  | { kind: 'folder'; name: string; mode: number }
  | { kind: 'link'; name: string; target: string }
  | { kind: 'char-device'; name: string; mode: number; major: number; minor: number };

const empty = new Uint8Array(0);
const typeBits = { file: 0o100000, folder: 0o040000, link: 0o120000, 'char-device': 0o020000 };

function encodeEntry(entry: CpioEntry, inode: number): Buffer[] {
  const data = entryData(entry);
  const name = Buffer.from(`${entry.name}\0`);
  const isTrailer = inode === 0;
  const mode = isTrailer ? 0 : typeBits[entry.kind] | (entry.kind === 'link' ? 0o777 : entry.mode);
  const device = entry.kind === 'char-device' ? [entry.major, entry.minor] : [0, 0];
  const links = entry.kind === 'folder' ? 2 : 1;
  const numbers = [inode, mode, 0, 0, links, 0, data.length, 0, 0, ...device, name.length, 0];
  const header = `070701${numbers.map((n) => n.toString(16).padStart(8, '0')).join('')}`;
  const head = Buffer.concat([Buffer.from(header, 'latin1'), name]);
  return [head, padding(head.length), Buffer.from(data), padding(data.length)];
}

function entryData(entry: CpioEntry): Uint8Array {
  if (entry.kind === 'file') return entry.data;
  return entry.kind === 'link' ? Buffer.from(entry.target) : empty;
}

const padding = (length: number) => Buffer.alloc((4 - (length % 4)) % 4);
