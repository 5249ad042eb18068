import { closeSync, openSync, readFileSync } from 'node:fs';
import { systemCode } from '../../shared/errors.ts';
import { ioctl, type Mapping, mapAnonymous, SystemCallError } from '../../shared/native/libc.ts';
import type { MappedRange } from '../../shared/native/memory-map.ts';
import type { PageSet } from '../../shared/page-set.ts';
import { lost, ramMappings, type TrackedGuest, unavailable } from './tracked-guest.ts';
import type { DirtyTracker } from './tracker.ts';

/**
 * Written pages by the PAGEMAP_SCAN ioctl (Linux 6.7) on a mapping that the memory shim has put
 * under asynchronous write-protection. One call finds the written ranges and protects them again.
 * A page whose page table did not exist when tracking began may be reported once after a read.
 */
export class WriteProtectTracker implements DirtyTracker {
  readonly kind = 'write-protect';
  readonly collectsLive = true;
  readonly knowsFromStart: boolean;
  readonly #fd: number;
  readonly #mappings: readonly MappedRange[];
  /** struct pm_scan_arg, and behind it the regions that the kernel fills. */
  readonly #buffer: Mapping;
  readonly #argument: BigUint64Array;
  readonly #regions: Uint32Array;

  /** Throws `E_TRACKER_UNAVAILABLE` with the reason. */
  static open(guest: TrackedGuest): WriteProtectTracker {
    const { knowsFromStart } = checkShim(guest);
    const mappings = ramMappings(guest, 'write-protect');
    let fd: number;
    try {
      fd = openSync(`/proc/${guest.pid}/pagemap`, 'r');
    } catch (cause) {
      const reason = `/proc/${guest.pid}/pagemap can't be opened: ${systemCode(cause)}`;
      throw unavailable('write-protect', reason, 'Run the agent as root.', cause);
    }
    const tracker = new WriteProtectTracker(fd, mappings, knowsFromStart);
    try {
      tracker.#tryOnePage();
      return tracker;
    } catch (cause) {
      tracker.close();
      throw kernelRefused(cause);
    }
  }

  private constructor(fd: number, mappings: readonly MappedRange[], knowsFromStart: boolean) {
    this.knowsFromStart = knowsFromStart;
    this.#fd = fd;
    this.#mappings = mappings;
    this.#buffer = mapAnonymous(regionsAt + regionCountMax * regionBytes);
    const { buffer } = this.#buffer.bytes;
    this.#argument = new BigUint64Array(buffer, 0, argumentWords);
    this.#regions = new Uint32Array(buffer, regionsAt, regionCountMax * (regionBytes / 4));
  }

  arm(): void {
    this.#scanAll(() => undefined);
  }

  collect(into: PageSet): void {
    this.#scanAll((first, end) => into.addRange(first, end));
  }

  close(): void {
    closeSync(this.#fd);
    this.#buffer.unmap();
  }

  /** The kernel answers ESRCH for a process that ended: never an empty set. */
  #scanAll(onPages: (first: number, end: number) => void): void {
    try {
      for (const mapping of this.#mappings) this.#scan(mapping, onPages);
    } catch (error) {
      throw error instanceof SystemCallError ? lost('write-protect', error) : error;
    }
  }

  /** The kernel stops where its list of regions is full; the scan goes on from there. */
  #scan(mapping: MappedRange, onPages: (first: number, end: number) => void): void {
    const pageOf = (address: number): number =>
      (address - mapping.start + mapping.fileOffset) / 4096;
    let from = mapping.start;
    while (from < mapping.end) {
      const count = this.#call(from, mapping.end, scanAndProtect);
      for (let i = 0; i < count; i++) {
        const start = this.#address(i * 6);
        const end = this.#address(i * 6 + 2);
        if (start < from || end > mapping.end || end <= start) {
          throw new Error(`PAGEMAP_SCAN gave the range ${start} to ${end}`);
        }
        onPages(pageOf(start), pageOf(end));
      }
      const walkedTo = Number(this.#argument[walkEndWord]!);
      if (walkedTo <= from) throw new Error(`PAGEMAP_SCAN does not go on from ${from}`);
      from = walkedTo;
    }
  }

  /** Asks without protecting: finds out whether the kernel and the mapping can do it at all. */
  #tryOnePage(): void {
    const { start } = this.#mappings[0]!;
    this.#call(start, start + 4096, scanChecked);
  }

  #call(start: number, end: number, flags: bigint): number {
    const argument = this.#argument;
    argument.fill(0n);
    argument[0] = BigInt(argumentWords * 8);
    argument[1] = flags;
    argument[2] = BigInt(start);
    argument[3] = BigInt(end);
    argument[5] = this.#buffer.address + BigInt(regionsAt);
    argument[6] = BigInt(regionCountMax);
    argument[9] = pageIsWritten; // category_mask
    argument[11] = pageIsWritten; // return_mask
    return ioctl(this.#fd, pagemapScan, this.#buffer.address);
  }

  #address(word: number): number {
    return this.#regions[word + 1]! * 2 ** 32 + this.#regions[word]!;
  }
}

/** _IOWR('f', 16, struct pm_scan_arg); the struct is twelve u64 (linux/fs.h since 6.7). */
const pagemapScan = 0xc060_6610;
const argumentWords = 12;
const walkEndWord = 4;
const scanChecked = 2n; // PM_SCAN_CHECK_WPASYNC
const scanAndProtect = 3n; // … | PM_SCAN_WP_MATCHING
const pageIsWritten = 2n;
/** struct page_region: start, end, categories, each u64. */
const regionBytes = 24;
const regionCountMax = 4096;
const regionsAt = 128;

const shimHint = 'Build the shim (npm run build) and start the guest anew with this agent.';

/** The shim's own words, where it failed, are a better reason than the kernel's refusal. */
function checkShim(guest: TrackedGuest): { readonly knowsFromStart: boolean } {
  let status: string;
  try {
    status = readFileSync(guest.shimStatusPath, 'utf8');
  } catch (cause) {
    const reason = 'QEMU was started without the memory shim';
    throw unavailable('write-protect', reason, shimHint, cause);
  }
  const last = parseShimStatus(status);
  if (last === undefined) {
    throw unavailable('write-protect', 'the memory shim saw no mapping of RAM', shimHint);
  }
  // The only mapping, and protected before QEMU had it: no write to RAM went unnoted.
  if (last.outcome === 'protected') return { knowsFromStart: last.mappings === 1 };
  if (last.outcome === 'registered') return { knowsFromStart: false };
  const reason = `the memory shim could not register RAM (${last.outcome}, errno ${last.errno})`;
  const hint = 'It needs Linux 6.7 or newer with CONFIG_USERFAULTFD, and root for QEMU.';
  throw unavailable('write-protect', reason, hint);
}

/** The last line of what native/memory-shim.c writes, and how many mappings there were. */
export function parseShimStatus(
  text: string,
): { readonly outcome: string; readonly errno: number; readonly mappings: number } | undefined {
  const lines = text.trim().split('\n');
  const line = lines.at(-1) ?? '';
  const match = /^(registered|protected|failed:[a-z]+) address=.* errno=(\d+)$/.exec(line);
  if (match === null) return undefined;
  return { outcome: match[1]!, errno: Number(match[2]), mappings: lines.length };
}

function kernelRefused(cause: unknown): unknown {
  const code = systemCode(cause);
  if (code === undefined) return cause;
  const reason =
    code === 'ENOTTY'
      ? 'this kernel has no PAGEMAP_SCAN'
      : code === 'EPERM'
        ? 'guest RAM is not under asynchronous write-protection'
        : `PAGEMAP_SCAN: ${code}`;
  return unavailable('write-protect', reason, 'It needs Linux 6.7 or newer.', cause);
}
