import { statfsSync } from 'node:fs';
import type { DirectIoMark } from '../guest/guest.ts';
import type { QemuProcess } from './qemu-process.ts';

/**
 * Counts the requests by which a QEMU's devices may write into guest RAM past its page tables, by
 * pinning pages for direct I/O. A drive with a host cache (QEMU's default) on an ordinary file
 * system copies instead, and its writes are seen like any other. What is passed through to
 * hardware may write at any time.
 */
export class DirectIoCounter {
  readonly #process: Execute;
  readonly #kind: 'none' | 'drives' | 'uncountable';
  /** Drives by their QOM path that need no counting. */
  readonly #copying: ReadonlySet<string>;

  static async open(process: Execute, extraArguments: readonly string[]): Promise<DirectIoCounter> {
    if (extraArguments.some((argument) => uncountable.test(argument))) {
      return new DirectIoCounter(process, 'uncountable', new Set());
    }
    const drives = await process.execute<Drive[]>('query-block');
    const copying = drives.filter(copies).map(({ qdev }) => qdev!);
    const kind = copying.length === drives.length ? 'none' : 'drives';
    return new DirectIoCounter(process, kind, new Set(copying));
  }

  private constructor(
    process: Execute,
    kind: 'none' | 'drives' | 'uncountable',
    copying: ReadonlySet<string>,
  ) {
    this.#process = process;
    this.#kind = kind;
    this.#copying = copying;
  }

  /** As `Guest.directIoMark`. Asks QEMU only where there is something to count. */
  async mark(): Promise<DirectIoMark> {
    if (this.#kind === 'uncountable') return null;
    if (this.#kind === 'none') return 0;
    const drives = await this.#process.execute<DriveStats[]>('query-blockstats');
    return drives
      .filter(({ qdev }) => qdev === undefined || !this.#copying.has(qdev))
      .reduce((sum, { stats }) => sum + stats.rd_operations + stats.failed_rd_operations, 0);
  }
}

type Execute = Pick<QemuProcess, 'execute'>;

/** Hardware or other processes that write into guest RAM themselves. */
const uncountable = /vfio|vhost|ivshmem|scsi-generic|scsi-block|usb-host|rdma|nvme:\/\//;

/** ext2–4, XFS, Btrfs, tmpfs (device nodes too), overlayfs: a cached read is a copy. */
const copyingFileSystems = new Set([0xef53, 0x5846_5342, 0x9123_683e, 0x0102_1994, 0x794c_7630]);

interface Drive {
  /** Absent for a drive that no device uses. */
  readonly qdev?: string;
  /** Absent for a drive without a medium. */
  readonly inserted?: {
    readonly file: string;
    readonly backing_file_depth: number;
    readonly cache: { readonly direct: boolean };
  };
}

interface DriveStats {
  readonly qdev?: string;
  readonly stats: { readonly rd_operations: number; readonly failed_rd_operations: number };
}

function copies({ qdev, inserted }: Drive): boolean {
  if (qdev === undefined) return false;
  if (inserted === undefined) return true;
  const { file, cache, backing_file_depth: depth } = inserted;
  // A socket's data is always copied.
  if (/^nbd[:+]/.test(file)) return true;
  if (cache.direct || depth > 0) return false;
  try {
    return copyingFileSystems.has(statfsSync(file).type);
  } catch {
    // Not a path, or gone since: not known to copy.
    return false;
  }
}
