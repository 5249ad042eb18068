import { readFileSync, statSync } from 'node:fs';

/** A part of a file as a process has it mapped. Addresses are below 2^47: exact as numbers. */
export interface MappedRange {
  readonly start: number;
  readonly end: number;
  readonly fileOffset: number;
  readonly shared: boolean;
  readonly writable: boolean;
}

/**
 * Where process `pid` has the file mapped, by offset; neighbours are joined. Empty where it has
 * not, and where there is no such file. Throws Node's errors where the process is gone or may not be
 * looked at.
 */
export function fileMappings(pid: number, path: string): MappedRange[] {
  const file = statSync(path, { throwIfNoEntry: false });
  if (file === undefined) return [];
  const { dev, ino } = file;
  return parseFileMappings(readFileSync(`/proc/${pid}/maps`, 'utf8'), deviceName(dev), ino);
}

/** The same from the text of /proc/PID/maps: the file is known by its device and inode. */
export function parseFileMappings(maps: string, device: string, inode: number): MappedRange[] {
  const found: MappedRange[] = [];
  for (const line of maps.split('\n')) {
    const match = mapsLine.exec(line);
    if (match === null || match[5] !== device || Number(match[6]) !== inode) continue;
    found.push({
      start: Number.parseInt(match[1]!, 16),
      end: Number.parseInt(match[2]!, 16),
      writable: match[3]![1] === 'w',
      shared: match[3]![3] === 's',
      fileOffset: Number.parseInt(match[4]!, 16),
    });
  }
  const ranges = joined(found.sort((a, b) => a.start - b.start));
  return ranges.sort((a, b) => a.fileOffset - b.fileOffset);
}

/** start-end permissions offset major:minor inode path (proc_pid_maps(5)). */
const mapsLine = /^([0-9a-f]+)-([0-9a-f]+) (\S{4}) ([0-9a-f]+) ([0-9a-f]+:[0-9a-f]+) (\d+)/;

/** A device number as /proc/PID/maps writes it: hexadecimal major:minor. */
export function deviceName(device: number): string {
  const major = (device >>> 8) & 0xfff;
  const minor = (device & 0xff) | ((device >>> 12) & 0xfff00);
  return [major, minor].map((part) => part.toString(16).padStart(2, '0')).join(':');
}

function joined(ranges: readonly MappedRange[]): MappedRange[] {
  const result: MappedRange[] = [];
  for (const range of ranges) {
    const last = result.at(-1);
    const follows =
      last !== undefined &&
      last.end === range.start &&
      last.fileOffset + (last.end - last.start) === range.fileOffset &&
      last.shared === range.shared &&
      last.writable === range.writable;
    if (follows) result[result.length - 1] = { ...last, end: range.end };
    else result.push(range);
  }
  return result;
}
