import type { DiskLevelParts } from '../disk/disk-level.ts';
import { type VerifiedDisk, verifyDisks } from '../disk/disk-verification.ts';
import type { ReplicaComparison, VerifiedRam } from './replica-comparison.ts';

/** What a comparison of both sides has found. */
export interface ReplicaVerdict {
  /** Null where RAM was not compared: another comparison was under way, or no answer came. */
  readonly ram: VerifiedRam | null;
  readonly disks: readonly VerifiedDisk[];
}

export interface ReplicaCheckParts {
  readonly comparison: Pick<ReplicaComparison, 'begin'>;
  /** Undefined where the guest has no replicated disk. */
  readonly disks: () => DiskLevelParts | undefined;
  /** Of the session, with the reason. */
  readonly closed: AbortSignal;
}

/**
 * Compares the backup's RAM and disks with the guest's, beside it, when somebody asks. What differs
 * on a disk is sent again; RAM that differs ends the session, and the next one brings it level.
 */
export class ReplicaCheck {
  readonly #parts: ReplicaCheckParts;
  /** The newest epoch whose checkpoint was taken. */
  #captured = 0;
  /** Acknowledgements that are waited for. */
  #awaited: { readonly number: number; resolve(): void }[] = [];
  #ramWanted: ((verdict: VerifiedRam | null) => void) | undefined;

  constructor(parts: ReplicaCheckParts) {
    this.#parts = parts;
  }

  /** Throws why the session was closed, if it is before the end. */
  async run(): Promise<ReplicaVerdict> {
    const { closed } = this.#parts;
    closed.throwIfAborted();
    const ended = new Promise<never>((_, reject) => {
      closed.addEventListener('abort', () => reject(closed.reason), { once: true });
    });
    const ram = new Promise<VerifiedRam | null>((resolve) => {
      this.#ramWanted = resolve;
    });
    const both = Promise.all([ram, this.#verifyDisks(ended)]);
    const [ramVerdict, disks] = await Promise.race([both, ended]);
    return { ram: ramVerdict, disks };
  }

  /** Epoch `number` begins: its RAM is compared if that is `due`, or was asked for. */
  begin(number: Parameters<ReplicaComparison['begin']>[0], due: boolean): void {
    const wanted = this.#ramWanted;
    if (!due && wanted === undefined) return;
    this.#ramWanted = undefined;
    this.#parts.comparison.begin(number).then(wanted);
  }

  /** The checkpoint of `number` was taken: what the guest changes from now on is of the next one. */
  captured(number: number): void {
    this.#captured = number;
  }

  acknowledged(number: number): void {
    for (const one of this.#awaited) if (one.number <= number) one.resolve();
    this.#awaited = this.#awaited.filter((one) => one.number > number);
  }

  async #verifyDisks(ended: Promise<never>): Promise<VerifiedDisk[]> {
    const disks = this.#parts.disks();
    if (disks === undefined) return [];
    const committed = async (): Promise<void> => {
      const number = this.#captured + 1;
      const acked = new Promise<void>((resolve) => this.#awaited.push({ number, resolve }));
      await Promise.race([acked, ended]);
    };
    return await verifyDisks({ ...disks, committed });
  }
}
