import test from 'ava';
import { compareWork, measureEvents } from '../../../bench/paper/measure-life.ts';
import type { TimedEvent } from '../../../shared/observe/events.ts';

/** A checkpoint each 100 ms of `pages` pages; acknowledged 30 ms after its pause began. */
function checkpoints(count: number, pages: number): TimedEvent[] {
  return Array.from({ length: count }, (_, index) => {
    const pausedAtMs = 1000 + index * 100;
    const common = { epoch: index + 1, pausedAtMs, pauseMs: index, dirtyPages: pages };
    const bytes = { wireBytes: pages * 1024, pageBytes: pages * 4096 };
    return [
      { kind: 'epoch', atMs: pausedAtMs + 10, ...common, ...bytes },
      { kind: 'ack', atMs: pausedAtMs + 30, epoch: index + 1, lagMs: 20 },
    ] as unknown as TimedEvent[];
  }).flat();
}

test('only checkpoints of the time that is measured count, over the time that they cover', (t) => {
  const events = checkpoints(100, 500);
  const measured = measureEvents(events, 2000, 3001);
  t.is(measured.epochs, 11);
  // Indexes 10 to 20.
  t.is(measured.typeIIMs.p50, 15);
  t.is(measured.typeIIMs.mean, 15);
  t.is(measured.pausedShare.toFixed(4), '0.1500');
  t.true(measured.typeIIMs.p99 > 19.8 && measured.typeIIMs.p99 < 20);
  t.is(measured.ackMs, 30);
  t.is(measured.wire.ratio, 0.25);
  t.is(Math.round(measured.dirtyPagesPerSecond), 5000);
  t.is(Math.round(measured.wire.bytesPerSecond), 5000 * 1024);
});

test('acknowledgements of an earlier session’s epochs are none of this one’s', (t) => {
  const earlier = checkpoints(100, 500).map((event) => ({ ...event, atMs: event.atMs - 20_000 }));
  const acks = earlier.filter(({ kind }) => kind === 'ack');
  t.is(measureEvents([...acks, ...checkpoints(100, 500)], 2000, 3001).ackMs, 30);
});

test('work is compared at equal speed of the core, and by the clock', (t) => {
  const alone = { fromMs: 0, toMs: 1000, perSecond: 100 };
  const work = { fromMs: 2000, toMs: 3000, perSecond: 72 };
  // The core was a fifth slower meanwhile.
  const speed = { loopsPerMs: (fromMs: number) => (fromMs === 0 ? 10 : 8) };
  const { overhead, byClock } = compareWork(work, alone, speed);
  t.is(overhead.toFixed(6), '0.100000');
  t.is(byClock.toFixed(6), '0.280000');
});

test('a time without checkpoints gives no numbers', (t) => {
  t.throws(() => measureEvents(checkpoints(5, 1), 9000, 9999), { message: /too few checkpoints/ });
});
