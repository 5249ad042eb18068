import test from 'ava';
import { LinkMeter } from '../../../primary/session/link-meter.ts';
import { epoch } from '../../../shared/ids.ts';

interface Way {
  readonly bytesPerMs: number;
  readonly latencyMs: number;
}

/** Runs `count` epochs of so many bytes, each encoded in `encodeMs`, over a way; in order. */
function run(meter: LinkMeter, way: Way, bytes: number, encodeMs: number, count: number): void {
  let nowMs = clock.get(meter) ?? 0;
  for (let i = 0; i < count; i++) {
    const number = epoch((numbers.get(meter) ?? 0) + 1);
    numbers.set(meter, number);
    meter.begin(nowMs);
    const doneMs = nowMs + Math.max(encodeMs, bytes / way.bytesPerMs);
    meter.sent(number, bytes, nowMs + encodeMs);
    nowMs = doneMs + way.latencyMs;
    meter.acknowledged(number, nowMs);
    nowMs += 10;
  }
  clock.set(meter, nowMs);
}
const clock = new WeakMap<LinkMeter, number>();
const numbers = new WeakMap<LinkMeter, number>();
const about = (value: number, wanted: number, share = 0.15): boolean =>
  Math.abs(value - wanted) < share * wanted;

test('a slow link is measured, and found busy', (t) => {
  const meter = new LinkMeter(125e6);
  run(meter, { bytesPerMs: 4000, latencyMs: 8 }, 1e6, 5, 20);
  t.true(about(meter.state.bytesPerSecond, 4e6), `${meter.state.bytesPerSecond}`);
  t.true(meter.state.isBusy);
});

test('a link that keeps up with the encoder is not slower than that, and not busy', (t) => {
  const meter = new LinkMeter(1e6);
  run(meter, { bytesPerMs: 1e6, latencyMs: 3 }, 1e6, 20, 3);
  t.true(meter.state.bytesPerSecond >= 45e6, `${meter.state.bytesPerSecond}`);
  t.false(meter.state.isBusy);
});

test('epochs of a few bytes say nothing, however long their answers take', (t) => {
  const meter = new LinkMeter(125e6);
  run(meter, { bytesPerMs: 1e6, latencyMs: 50 }, 4000, 1, 100);
  t.deepEqual(meter.state, { bytesPerSecond: 125e6, isBusy: false });
});

test('a way with a long latency is not taken for a slow one', (t) => {
  const meter = new LinkMeter(125e6);
  run(meter, { bytesPerMs: 1e6, latencyMs: 50 }, 4000, 1, 3);
  run(meter, { bytesPerMs: 100_000, latencyMs: 50 }, 2e6, 5, 20);
  t.true(meter.state.bytesPerSecond > 50e6, `${meter.state.bytesPerSecond}`);
});

test('a link that becomes faster, or slower, is followed', (t) => {
  const meter = new LinkMeter(125e6);
  run(meter, { bytesPerMs: 4000, latencyMs: 5 }, 1e6, 5, 20);
  run(meter, { bytesPerMs: 40_000, latencyMs: 5 }, 1e6, 5, 20);
  t.true(about(meter.state.bytesPerSecond, 40e6), `${meter.state.bytesPerSecond}`);
  run(meter, { bytesPerMs: 400_000, latencyMs: 5 }, 1e6, 5, 20);
  t.true(meter.state.bytesPerSecond > 55e6);
  t.false(meter.state.isBusy);
  run(meter, { bytesPerMs: 4000, latencyMs: 5 }, 1e6, 5, 20);
  t.true(about(meter.state.bytesPerSecond, 4e6));
});

test('one acknowledgement may cover two epochs', (t) => {
  const meter = new LinkMeter(4e6);
  for (let number = 1; number < 40; number += 2) {
    meter.begin(number * 1000);
    meter.sent(epoch(number), 1e6, number * 1000 + 5);
    meter.begin(number * 1000 + 10);
    meter.sent(epoch(number + 1), 1e6, number * 1000 + 15);
    meter.acknowledged(epoch(number + 1), number * 1000 + 500);
  }
  // Never a quicker answer than this: the latency is all that is known of it.
  t.true(meter.state.bytesPerSecond >= 4e6);
  t.notThrows(() => meter.acknowledged(epoch(99), 1e6));
});
