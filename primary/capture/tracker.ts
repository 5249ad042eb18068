import type { PageSet } from '../../shared/page-set.ts';

export type TrackerKind = 'write-protect' | 'soft-dirty' | 'scan' | 'synthetic';

/** Says which pages of guest RAM were written (design: "Which pages were written"). */
export interface DirtyTracker {
  readonly kind: TrackerKind;
  /** False: `collect` is exact only while the guest is paused and must not be called live. */
  readonly collectsLive?: boolean;
  /**
   * True: it knows every write since the guest's process began. The first `collect` may come
   * without `arm` then, and reports all of them.
   */
  readonly knowsFromStart?: boolean;
  /**
   * Starts to record. Writes before the call may be reported or not, writes after it are.
   * May take hundreds of milliseconds; the guest may run.
   */
  arm(): void;
  /**
   * Adds the pages written since the last `collect` (or `arm`) to `into` and starts anew.
   * Exact when the guest is paused. When it runs, a page pinned for direct I/O may be written
   * again unseen: such pages stay candidates until the next paused collect.
   */
  collect(into: PageSet): void;
  /** Lets go; the guest runs on unhindered. */
  close(): void;
}
