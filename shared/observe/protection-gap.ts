import type { EmitEvent, TimedEvent } from './events.ts';

/**
 * Says for how long a guest was without a backup, once it is protected again: from the events of the
 * agent that runs it then. A guest that never was protected has no gap.
 */
export class ProtectionGap {
  readonly #emit: EmitEvent;
  /** Since when the guest has run here, or this side knows, that nobody could take it over. */
  #sinceMs: number | undefined;

  constructor(emit: EmitEvent) {
    this.#emit = emit;
  }

  note(event: TimedEvent): void {
    if (event.kind === 'takeover') this.#sinceMs = event.atMs;
    if (event.kind !== 'state' || event.role !== 'primary') return;
    const { from, to, atMs } = event;
    if (to === 'stopped') this.#sinceMs = undefined;
    else if (to === 'protected') {
      if (this.#sinceMs === undefined) return;
      const unprotectedMs = atMs - this.#sinceMs;
      this.#sinceMs = undefined;
      this.#emit({ kind: 'reprotected', unprotectedMs });
    } else if (from === 'protected' || from === 'handing-over') {
      // One that is handed over stands still, and its last epoch is the backup's.
      if (to !== 'handing-over') this.#sinceMs = atMs;
    }
  }
}
