import test from 'ava';
import fc from 'fast-check';
import { checkSequence, type FoundWrites } from '../../../drill/checkers/sequence-check.ts';
import { SequenceHistory } from '../../../drill/checkers/sequence-history.ts';

const slotCount = 7;

/** Writes 1 … count: write n sent at 10 n, acknowledged 4 later unless it is the last `open`. */
function historyOf(count: number, open = 0): SequenceHistory {
  const history = new SequenceHistory(slotCount);
  for (let n = 1; n <= count; n++) {
    history.send(10 * n);
    if (n <= count - open) history.acknowledge(n, 10 * n + 4, 1000 + n);
  }
  return history;
}

/** The store as it is after the first `count` writes. */
function storeAfter(count: number): FoundWrites {
  const slots = Array.from({ length: slotCount }, () => 0);
  for (let n = 1; n <= count; n++) slots[n % slotCount] = n;
  return { count, slots };
}

test('a store that is a prefix between what was acknowledged and what was sent is right', (t) => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 60 }),
      fc.integer({ min: 0, max: 5 }),
      fc.double({ min: 0, max: 700, noNaN: true }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (count, open, pausedAtMs, share) => {
        const history = historyOf(count, Math.min(open, count));
        const low = history.lastAckedBefore(pausedAtMs);
        const high = Math.max(low, history.lastSentBefore(pausedAtMs + 3));
        const held = low + Math.round(share * (high - low));
        const verdict = checkSequence(history, { pausedAtMs, pauseMs: 3 }, storeAfter(held));
        t.is(verdict.dataLost, 0);
        t.is(verdict.wrongSlots, 0);
        t.is(verdict.fromLater, 0);
        const acked = history.lastAckedBefore(Number.POSITIVE_INFINITY);
        t.is(verdict.unprotectedWrites, Math.max(0, acked - held));
      },
    ),
  );
});

test('each acknowledged write that an older store lacks is counted, and on which side', (t) => {
  const history = historyOf(40);
  // Writes up to 30 were acknowledged before 305.
  const verdict = checkSequence(history, { pausedAtMs: 305, pauseMs: 1 }, storeAfter(27));
  t.is(verdict.lastProtected, 30);
  t.is(verdict.dataLost, 3);
  t.is(verdict.unprotectedWrites, 10);
});

test('an empty store has lost everything', (t) => {
  const verdict = checkSequence(historyOf(40), { pausedAtMs: 305, pauseMs: 1 }, storeAfter(0));
  t.is(verdict.dataLost, 30);
  t.is(verdict.unprotectedWrites, 10);
});

test('one slot that kept an old value is seen', (t) => {
  const found = storeAfter(30);
  const slots = found.slots.map((value, slot) => (slot === 3 ? value - slotCount : value));
  const verdict = checkSequence(
    historyOf(40),
    { pausedAtMs: 305, pauseMs: 1 },
    { ...found, slots },
  );
  t.is(verdict.wrongSlots, 1);
  t.is(verdict.dataLost, 1);
});

test('one slot that is ahead of the others is seen', (t) => {
  const found = storeAfter(30);
  const slots = found.slots.map((value, slot) => (slot === 3 ? value + slotCount : value));
  const verdict = checkSequence(
    historyOf(40),
    { pausedAtMs: 305, pauseMs: 1 },
    { ...found, slots },
  );
  t.is(verdict.wrongSlots, 1);
  t.true(verdict.fromLater > 0);
});

test('a store that holds writes from after the checkpoint is not the checkpoint', (t) => {
  const verdict = checkSequence(historyOf(40), { pausedAtMs: 305, pauseMs: 1 }, storeAfter(33));
  t.is(verdict.wrongSlots, 0);
  t.is(verdict.fromLater, 3);
});
