import test from 'ava';
import fc from 'fast-check';
import { type DetectorInput, SilenceDetector } from '../../../shared/heartbeat/detector.ts';

const limits = { limitMs: 200, wedgedMs: 5000 };

/** A detector with a clock of its own, which ticks every 10 ms and hears its echo every 50. */
class Bench {
  readonly detector = new SilenceDetector(true, 0, limits);
  readonly told: string[] = [];
  nowMs = 0;
  echoes = true;
  /** When in each 50 ms the echo comes; heartbeats come at 0. */
  echoAtMs = 0;
  connected = true;

  step(event: DetectorInput): void {
    for (const { kind, atMs } of this.detector.step(event)) this.told.push(`${kind}@${atMs}`);
  }

  /** Lets time pass; `beats`: with heartbeats every 50 ms. */
  run(ms: number, beats: boolean, progress: () => string | undefined = () => undefined): void {
    for (const end = this.nowMs + ms; this.nowMs < end; ) {
      this.nowMs += 10;
      const { nowMs } = this;
      const isBeat = nowMs % 50 === 0;
      const isEcho = nowMs % 50 === this.echoAtMs && this.echoes && this.connected;
      if (isEcho) this.step({ kind: 'echo', nowMs });
      if (isBeat && beats) this.step({ kind: 'heartbeat', progress: progress(), nowMs });
      this.step({ kind: 'tick', nowMs });
    }
  }

  connect(connected: boolean): void {
    this.connected = connected;
    this.step({ kind: 'connection', connected, nowMs: this.nowMs });
  }
}

test('silence over the limit is told once, and its end too', (t) => {
  const b = new Bench();
  b.run(1000, true);
  t.deepEqual(b.told, ['heard-first@50']);
  b.run(1000, false);
  t.deepEqual(b.told, ['heard-first@50', 'silent@1210']);
  b.run(100, true);
  t.deepEqual(b.told.slice(2), ['back@2050']);
});

test('nobody is missed before he was heard', (t) => {
  const b = new Bench();
  b.run(10_000, false);
  t.deepEqual(b.told, []);
});

test('a peer that is followed counts as heard, so that its early death is noticed', (t) => {
  const b = new Bench();
  b.run(1000, false);
  b.step({ kind: 'follow', nowMs: b.nowMs });
  b.run(1000, false);
  t.deepEqual(b.told, ['silent@1210']);
});

test('while our own connection is down silence is blindness', (t) => {
  const b = new Bench();
  b.run(1000, true);
  b.connect(false);
  b.run(5000, false);
  t.deepEqual(b.told.slice(1), ['blind@1000']);
  b.connect(true);
  b.run(150, false);
  t.deepEqual(b.told.slice(2), ['sighted@6050']);
  b.run(1000, false);
  t.deepEqual(b.told.slice(3), ['silent@6260'], 'the limit starts anew with the sight');
});

test('a path that breaks together with the last heartbeat is never taken for a death', (t) => {
  for (const echoAtMs of [0, 10, 20, 30, 40]) {
    const b = new Bench();
    b.echoAtMs = echoAtMs;
    b.run(1000 + echoAtMs, true);
    b.echoes = false;
    b.run(5000, false);
    t.false(
      b.told.some((each) => each.startsWith('silent')),
      b.told.join(),
    );
    t.true(b.told.some((each) => each.startsWith('blind')));
  }
});

test('our own standstill is blindness, whether heartbeats or the clock are seen first', (t) => {
  const b = new Bench();
  b.run(1000, true);
  b.nowMs += 3000;
  b.step({ kind: 'tick', nowMs: b.nowMs });
  b.run(150, false);
  t.deepEqual(b.told.slice(1), ['blind@4000', 'sighted@4010']);
  b.run(100, true);
  t.false(b.told.some((each) => each.startsWith('silent')));
});

test('a standstill of ours that is shorter than the limit is hardly silence', (t) => {
  const b = new Bench();
  b.run(1000, true);
  b.nowMs += 180;
  b.step({ kind: 'echo', nowMs: b.nowMs });
  b.step({ kind: 'tick', nowMs: b.nowMs });
  b.run(100, false);
  t.deepEqual(b.told.slice(1), [], 'it is 280 ms since it was heard, and 130 of them we could not');
  b.run(100, false);
  t.deepEqual(b.told.slice(1), ['silent@1340'], 'a dead one is still told');
});

test('a watch that is late all the time still tells a death', (t) => {
  const b = new Bench();
  b.run(1000, true);
  for (let late = 0; late < 20; late++) {
    b.nowMs += 150;
    b.step({ kind: 'echo', nowMs: b.nowMs });
    b.step({ kind: 'tick', nowMs: b.nowMs });
  }
  t.deepEqual(b.told.slice(1), ['silent@1750'], 'a quarter of the limit of each standstill counts');
});

test('a peer whose counters stand still is wedged; one that need not move is not', (t) => {
  const b = new Bench();
  b.run(6000, true, () => '7/6');
  t.deepEqual(b.told, ['heard-first@50', 'wedged@5050']);
  b.run(100, true, () => '8/7');
  t.deepEqual(b.told.slice(2), ['moving@6050']);
  b.run(20_000, true, () => undefined);
  t.is(b.told.length, 3);
});

test('who is heard by other signs alone is not silent, and is once they end', (t) => {
  const b = new Bench();
  b.run(1000, true);
  for (let i = 0; i < 20; i++) {
    b.run(100, false);
    b.step({ kind: 'other-sign', nowMs: b.nowMs });
  }
  t.deepEqual(b.told, ['heard-first@50']);
  b.run(1000, false);
  t.deepEqual(b.told.slice(1), ['silent@3210']);
  b.step({ kind: 'other-sign', nowMs: b.nowMs });
  t.deepEqual(b.told.slice(2), ['back@4000']);
});

test('other signs of life do not hide that a peer is wedged, nor make it so', (t) => {
  const b = new Bench();
  const signs = (ms: number, beats: boolean) => {
    for (let done = 0; done < ms; done += 100) {
      b.run(100, beats, () => '7/6');
      b.step({ kind: 'other-sign', nowMs: b.nowMs });
    }
  };
  signs(6000, true);
  t.deepEqual(b.told, ['heard-first@50', 'wedged@5050']);
  const later = new Bench();
  later.run(1000, true, () => '7/6');
  for (let i = 0; i < 100; i++) {
    later.run(100, false);
    later.step({ kind: 'other-sign', nowMs: later.nowMs });
  }
  later.run(1000, true, () => '7/6');
  t.deepEqual(later.told, ['heard-first@50'], 'nobody knows when the counters moved');
});

test('after a time without heartbeats nobody is wedged for it', (t) => {
  const b = new Bench();
  b.run(1000, true, () => '7/6');
  b.connect(false);
  b.run(10_000, false);
  b.connect(true);
  b.run(1000, true, () => '7/6');
  t.false(b.told.some((each) => each.startsWith('wedged')));
});

test('silence is never told unless the peer was not heard for the limit and we could hear', (t) => {
  const action = fc.record({
    waitMs: fc.integer({ min: 1, max: 300 }),
    what: fc.constantFrom('heartbeat', 'other-sign', 'echo', 'tick', 'tick', 'down', 'up'),
  });
  const property = fc.property(fc.array(action, { maxLength: 100 }), (actions) => {
    const detector = new SilenceDetector(true, 0, limits);
    let [nowMs, heardAtMs, echoAtMs, connected] = [0, -1, 0, true];
    for (const { waitMs, what } of actions) {
      nowMs += waitMs;
      if (what === 'heartbeat' || what === 'other-sign') heardAtMs = nowMs;
      if (what === 'echo') echoAtMs = nowMs;
      if (what === 'down') connected = false;
      if (what === 'up') connected = true;
      const input: DetectorInput =
        what === 'heartbeat'
          ? { kind: 'heartbeat', progress: undefined, nowMs }
          : what === 'down' || what === 'up'
            ? { kind: 'connection', connected, nowMs }
            : { kind: what as 'other-sign' | 'echo' | 'tick', nowMs };
      for (const event of detector.step(input)) {
        if (event.kind !== 'silent') continue;
        t.true(connected && heardAtMs >= 0);
        t.true(nowMs - heardAtMs > limits.limitMs);
        t.true(nowMs - echoAtMs <= limits.limitMs, 'the echo is fresh');
      }
    }
  });
  t.notThrows(() => fc.assert(property, { numRuns: 2000 }));
});
