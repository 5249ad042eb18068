import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { epoch } from '../../../shared/ids.ts';
import { createObserver } from '../../../shared/observe/observer.ts';
import { SpanList } from '../../../shared/observe/spans.ts';

test('a trace is whole JSON, has each span on its lane, and what waits for acknowledgements', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'understudy-trace-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const traceFile = join(folder, 'trace.json');
  let nowMs = 1000;
  const clock = { nowMs: () => nowMs };
  for (const pauseMs of [9, 2]) {
    const observer = createObserver({
      log: { level: 'error', format: 'json', eventsFile: null },
      base: { role: 'primary', guest: 'lab' },
      stream: { isTTY: false, write: () => {} },
      ...{ clock, traceFile },
    });
    const spans = new SpanList(clock);
    spans.add('pause', 1000, pauseMs);
    nowMs = 1005;
    t.is(spans.end('encode', 1002.5), 2.5);
    observer.emit({ kind: 'spans', epoch: epoch(7), spans: spans.take() });
    t.deepEqual(spans.take(), []);
    nowMs = 1020;
    observer.emit({ kind: 'ack', epoch: epoch(7), lagMs: 20 });
    observer.emit({ kind: 'state', role: 'primary', from: 'a', to: 'b', cause: 'c' });
    await observer.close();
  }
  // The second one replaced the first.
  const trace: Record<string, unknown>[] = JSON.parse(readFileSync(traceFile, 'utf8'));
  const lane = (name: string) =>
    trace.find(({ ph, args }) => ph === 'M' && (args as { name?: string }).name === name)?.tid;
  const complete = trace.filter(({ ph }) => ph === 'X');
  t.deepEqual(
    complete.map(({ name, ts, dur, tid }) => ({ name, ts, dur, tid })),
    [
      { name: 'pause', ts: 1e6, dur: 2000, tid: lane('guest') },
      { name: 'encode', ts: 1_002_500, dur: 2500, tid: lane('agent') },
    ],
  );
  const held = trace.filter(({ cat }) => cat === 'held').map(({ ph, ts, id }) => [ph, ts, id]);
  t.deepEqual(held, [
    ['b', 1e6, 7],
    ['e', 1_020_000, 7],
  ]);
  t.true(trace.some(({ ph, name }) => ph === 'i' && name === 'a → b'));
  t.is(lane('primary lab'), 0);
});

test('spans of one epoch are bounded', (t) => {
  const spans = new SpanList({ nowMs: () => 0 });
  for (let i = 0; i < 10_000; i++) spans.add('send', i, 1);
  t.true(spans.take().length < 1000);
});
