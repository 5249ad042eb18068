import { type SequenceHistory, slotKey, writesKey } from './sequence-history.ts';
import { type StoreClient, withDeadline } from './store-connection.ts';

/** The pause of the checkpoint from which the guest was resumed. */
export interface ResumedPause {
  readonly pausedAtMs: number;
  readonly pauseMs: number;
}

/** What the store holds after the takeover. */
export interface FoundWrites {
  readonly count: number;
  /** Number of the write in each slot; 0 where the slot was never written. */
  readonly slots: readonly number[];
}

export interface SequenceVerdict {
  /** Writes acknowledged before the resumed checkpoint that are not there. */
  readonly dataLost: number;
  /** Acknowledged writes that are not there, acknowledged after the resumed checkpoint. */
  readonly unprotectedWrites: number;
  /** Slots that differ from the state after exactly `count` writes. */
  readonly wrongSlots: number;
  /** Writes that are there although they were sent when the checkpoint was already taken. */
  readonly fromLater: number;
  /** Last write acknowledged before the checkpoint, as the client saw it. */
  readonly lastProtected: number;
}

/**
 * Judges what was found by what the client saw. Both instants are pessimistic: an answer reached
 * the client after the guest had applied the write, and a write left the client before it.
 */
export function checkSequence(
  history: SequenceHistory,
  pause: ResumedPause,
  found: FoundWrites,
): SequenceVerdict {
  const { slotCount } = history;
  const lastProtected = history.lastAckedBefore(pause.pausedAtMs);
  const lastPossible = history.lastSentBefore(pause.pausedAtMs + pause.pauseMs);
  const wrongSlots = countWrongSlots(found, slotCount);
  let dataLost = 0;
  let unprotectedWrites = 0;
  for (let n = 1; n <= history.sent; n++) {
    if (Number.isNaN(history.ackedAtMs[n - 1])) continue;
    // A later write to the same slot replaced it: the slot shows whether it was there.
    const isThere = found.slots[n % slotCount]! >= n && found.count >= n;
    if (isThere) continue;
    if (n <= lastProtected) dataLost += 1;
    else unprotectedWrites += 1;
  }
  const newest = Math.max(found.count, ...found.slots);
  return {
    dataLost,
    unprotectedWrites,
    wrongSlots,
    fromLater: Math.max(0, newest - lastPossible),
    lastProtected,
  };
}

/** Slots that differ from the state after exactly `found.count` writes. */
export const countWrongSlots = ({ slots, count }: FoundWrites, slotCount: number): number =>
  slots.filter((value, slot) => value !== lastWriteOfSlot(slot, count, slotCount)).length;

export async function readFoundWrites(
  client: StoreClient,
  slotCount: number,
  deadlineMs: number,
): Promise<FoundWrites> {
  const keys = Array.from({ length: slotCount }, (_, slot) => slotKey(slot));
  const answer = client.multi().get(writesKey).mGet(keys).exec();
  const [count, slots] = (await withDeadline(answer, deadlineMs)) as unknown as [
    string | null,
    (string | null)[],
  ];
  return { count: Number(count ?? 0), slots: slots.map((value) => Number(value ?? 0)) };
}

function lastWriteOfSlot(slot: number, count: number, slotCount: number): number {
  const last = count - ((((count - slot) % slotCount) + slotCount) % slotCount);
  return Math.max(0, last);
}
