import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { StoreWitness } from '../../../drill/checkers/store-witness.ts';
import { monotonicClock } from '../../../shared/clock.ts';
import { type LabMachine, startLabMachine } from '../lab-guest/lab-machine.ts';

const deadlineMs = 120_000;

test.serial(
  'the same guest is recognised; what the checkpoint did not hold is told apart',
  async (t) => {
    const machine = await startLabMachine(t, 'lab.counter=50');
    const witness = makeWitness(t, machine, machine);
    await witness.begin();
    await sleep(2000);
    await witness.beforeFault();
    // As if the checkpoint had been taken at the end of time: every write was before it.
    const whole = await witness.examine({ pausedAtMs: Number.POSITIVE_INFINITY, pauseMs: 0 });
    t.deepEqual(
      whole.checks.filter(({ ok }) => !ok),
      [],
    );
    t.true(whole.guestContinued);
    t.is(whole.dataLost, 0);
    t.is(whole.unprotectedWrites, 0);
  },
);

test.serial('a guest that went on after the checkpoint is not the checkpoint', async (t) => {
  const machine = await startLabMachine(t, 'lab.counter=50');
  const witness = makeWitness(t, machine, machine);
  await witness.begin();
  await sleep(2000);
  const pausedAtMs = monotonicClock.nowMs();
  await sleep(2000);
  const { checks } = await witness.examine({ pausedAtMs, pauseMs: 1 });
  t.like(
    checks.find(({ name }) => name === 'state-is-one-instant'),
    { ok: false },
  );
});

test.serial('a guest that was booted anew is not the guest, and has lost the data', async (t) => {
  const [before, after] = await Promise.all([
    startLabMachine(t, 'lab.counter=50'),
    startLabMachine(t, 'lab.counter=50'),
  ]);
  const witness = makeWitness(t, before, after);
  await witness.begin();
  await sleep(2000);
  const pausedAtMs = monotonicClock.nowMs();
  await sleep(100);
  const testimony = await witness.examine({ pausedAtMs, pauseMs: 1 });
  const failed = testimony.checks.filter(({ ok }) => !ok).map(({ name }) => name);
  t.true(failed.includes('same-boot'), failed.join());
  t.true(failed.includes('same-processes'), failed.join());
  t.true(failed.includes('no-data-lost'), failed.join());
  t.false(testimony.guestContinued);
  t.true(testimony.dataLost! > 10, `${testimony.dataLost}`);
});

test.serial('a guest that dies is an error of the step', async (t) => {
  const machine = await startLabMachine(t, 'lab.counter=50');
  const witness = makeWitness(t, machine, machine);
  await witness.begin();
  process.kill(machine.pid, 'SIGKILL');
  await sleep(200);
  await t.throwsAsync(witness.beforeFault(), { code: 'E_DRILL_STEP' });
});

function makeWitness(t: ExecutionContext, before: LabMachine, after: LabMachine): StoreWitness {
  const witness = new StoreWitness({
    primaryPort: before.port,
    backupPort: after.port,
    deadlineMs,
    watchMs: 2000,
    signal: new AbortController().signal,
  });
  t.teardown(() => witness.end());
  return witness;
}
