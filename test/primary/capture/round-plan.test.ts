import test from 'ava';
import {
  costsAtStart,
  fixedRound,
  learnCosts,
  planRound,
  type RoundCosts,
  roundsPay,
} from '../../../primary/capture/round-plan.ts';

const costs: RoundCosts = {
  scanMs: 0.5,
  coldScanMs: 0.5,
  copyMsPerPage: 0.001,
  sendMsPerPage: 0.004,
  writtenPerMs: 25,
  coldWrittenPerMs: 25,
  pagesPerEpoch: 25_000,
};

/** A guest that writes distinct pages at a rate; what is left for the pause, and the rounds. */
function simulate(
  pages: number,
  measured: RoundCosts,
  { roundsMax = 8, capacityPages = Number.POSITIVE_INFINITY } = {},
) {
  const rounds: string[] = [];
  let left = pages;
  let held = 0;
  for (;;) {
    const roundsLeft = roundsMax - rounds.length;
    const roomPages = capacityPages - held;
    const view = { roundsLeft, pages: left, coldPages: left, heldPages: held, roomPages };
    const plan = planRound(view, measured);
    if (plan === 'pause') return { left, held, rounds };
    rounds.push(plan);
    const copyMs = left * measured.copyMsPerPage;
    held += left;
    let ms = measured.scanMs + copyMs;
    if (plan === 'send') {
      ms += held * measured.sendMsPerPage;
      held = 0;
    }
    left = Math.min(pages, Math.ceil(measured.writtenPerMs * ms));
  }
}

test('the pause copies what is written in milliseconds, however much the epoch wrote', (t) => {
  for (const pages of [1000, 5000, 25_000, 100_000]) {
    const { left, rounds } = simulate(pages, costs);
    t.true(left * costs.copyMsPerPage < 0.3, `${pages}: ${left} left after ${rounds}`);
    t.true(rounds.length <= 4, `${rounds}`);
  }
});

test('the work after the pause shrinks with the rounds', (t) => {
  const { left, held } = simulate(25_000, costs);
  t.true((left + held) * costs.sendMsPerPage < 12, `${left} + ${held}`);
});

test('a guest that writes as fast as pages are copied is paused, not chased', (t) => {
  const fast = { ...costs, writtenPerMs: 1000, coldWrittenPerMs: 1000 };
  t.is(simulate(25_000, fast).rounds.length, 0);
});

test('pages that would be sent twice are copied live and sent once', (t) => {
  // In the 100 ms of a send, 20,000 of 25,000 pages are written again.
  const warm = { ...costs, writtenPerMs: 200, coldWrittenPerMs: 200 };
  const { rounds } = simulate(25_000, warm);
  t.false(rounds.includes('send'));
  t.true(rounds.includes('copy'));
});

test('the pause finds room for what is left: the buffer is sent before it, not in it', (t) => {
  // A quarter of the held pages is written again while they are sent: sending them does not pay.
  const busy = { ...costs, writtenPerMs: 100, coldWrittenPerMs: 100 };
  const capacityPages = 8192;
  for (const pages of [4000, 7000, 7500, 8000, 8190]) {
    const { left, held, rounds } = simulate(pages, busy, { capacityPages });
    t.true(held + left + 8 * busy.writtenPerMs <= capacityPages, `${pages}: ${held} + ${left}`);
    t.true(left * costs.copyMsPerPage < 0.5, `${pages}: ${left} left after ${rounds}`);
  }
});

test('a buffer that fills up faster than it is sent is not sent in vain', (t) => {
  const fast = { ...costs, writtenPerMs: 400, coldWrittenPerMs: 400 };
  const full = { roundsLeft: 8, pages: 300, coldPages: 300, heldPages: 8000, roomPages: 192 };
  t.is(planRound(full, fast), 'pause');
  t.is(planRound(full, { ...fast, writtenPerMs: 100 }), 'send');
  t.is(planRound({ ...full, roundsLeft: 0 }, { ...fast, writtenPerMs: 100 }), 'pause');
});

test('nothing is captured live that a pause copies in no time', (t) => {
  t.is(simulate(100, costs).rounds.length, 0);
  t.true(roundsPay(costs));
  t.false(roundsPay({ ...costs, pagesPerEpoch: 100 }));
  // The `scan` tracker: a scan costs more than it saves, warm or not.
  t.false(roundsPay({ ...costs, scanMs: 170, coldScanMs: 170 }));
  t.false(roundsPay({ ...costs, scanMs: 1, coldScanMs: 170 }));
});

test('a large guest that writes little is scanned live, so that its pause finds a warm table', (t) => {
  // As measured at 4 GiB: 1000 scattered pages an epoch.
  const large = { ...costs, scanMs: 3, coldScanMs: 7, copyMsPerPage: 0.002, pagesPerEpoch: 1000 };
  t.true(roundsPay(large));
  t.false(roundsPay({ ...large, pagesPerEpoch: 100 }), 'idle');
  t.false(roundsPay({ ...large, scanMs: 7 }), 'not warmer');
});

test('rounds are bounded, and the last one is a copy', (t) => {
  const view = { pages: 25_000, coldPages: 25_000, heldPages: 0, roomPages: 100_000 };
  t.is(planRound({ ...view, roundsLeft: 1 }, costs), 'copy');
  t.is(planRound({ ...view, roundsLeft: 0 }, costs), 'pause');
  t.deepEqual([3, 2, 1, 0].map(fixedRound), ['send', 'send', 'copy', 'pause']);
});

test('a burst raises the expectation at once, quiet epochs lower it slowly', (t) => {
  let learnt = learnCosts(costsAtStart, { pagesPerEpoch: 20_000 });
  t.is(learnt.pagesPerEpoch, 20_000);
  learnt = learnCosts(learnt, { pagesPerEpoch: 10 });
  t.is(learnt.pagesPerEpoch, 16_000);
  t.is(learnCosts(learnt, { scanMs: 5 }).pagesPerEpoch, 16_000);
  t.is(learnCosts(costs, { scanMs: 2.5 }).scanMs, 1);
});
