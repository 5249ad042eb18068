import test from 'ava';
import { measureRun, quantile } from '../../drill/measure.ts';
import type { TimedEvent } from '../../shared/observe/events.ts';
import { syntheticRun } from './synthetic-run.ts';

test('a quantile is a value that was measured, the smallest that is enough', (t) => {
  const values = Array.from({ length: 100 }, (_, i) => 100 - i);
  t.is(quantile(values, 0.5), 50);
  t.is(quantile(values, 0.99), 99);
  t.is(quantile(values, 1), 100);
  t.is(quantile([7], 0.5), 7);
  t.is(quantile([], 0.5), null);
});

test('the phases of a failover add up to what the drill measured from the kill', (t) => {
  const run = syntheticRun(20);
  const { failoverMs } = measureRun(run);
  const { detect, decide, load, verify, resume, total } = failoverMs!;
  t.is(total, run.backup[0]!.atMs - run.killedAtMs!);
  t.true(Math.abs(detect + decide + load + verify + resume - total) < 1e-9);
  t.is(load, 14);
});

test('bytes and epochs are summed over the epochs, without synchronisations', (t) => {
  const measured = measureRun(syntheticRun(20));
  t.deepEqual(measured.epochs, { captured: 20, acked: 20 });
  t.deepEqual(measured.wire, { bytes: 20 * 1000, pageBytes: 20 * 4096, ratio: 1000 / 4096 });
  t.deepEqual(measured.sync, [{ pages: 131_072, bytes: 5_000_000, syncMs: 900 }]);
});

test('a drill that broke off early has no numbers instead of wrong ones', (t) => {
  const nothing: readonly TimedEvent[] = [];
  const none = {
    primary: nothing,
    backup: nothing,
    killedAtMs: undefined,
    servesFromMs: undefined,
    servedAtMs: undefined,
  };
  const measured = measureRun(none);
  t.is(measured.failoverMs, null);
  t.is(measured.pauseMs.p50, null);
  t.is(measured.wire.ratio, null);
});

test('what the guest wrote to come up is not among the numbers of its work', (t) => {
  const measured = measureRun({ ...syntheticRun(20), servesFromMs: 1000 + 15 * 100 - 50 });
  t.is(measured.epochs.captured, 20);
  t.is(measured.wire.bytes, 6 * 1000);
  t.deepEqual(measured.startUp, {
    epochs: 14,
    pauseMsMax: 2.5,
    wireBytes: 14_000,
    pageBytes: 14 * 4096,
  });
});
