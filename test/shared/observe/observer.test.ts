import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import test from 'ava';
import type { LogSection } from '../../../shared/config/schema.ts';
import { isUnderstudyError, UnderstudyError } from '../../../shared/errors.ts';
import { epoch, sessionId, term } from '../../../shared/ids.ts';
import { entryLine } from '../../../shared/observe/entry-line.ts';
import { EventHub } from '../../../shared/observe/event-hub.ts';
import { bytesText, ms } from '../../../shared/observe/event-log.ts';
import type { AgentEvent, TimedEvent } from '../../../shared/observe/events.ts';
import { EventsFile } from '../../../shared/observe/events-file.ts';
import { createObserver } from '../../../shared/observe/observer.ts';
import { Progress } from '../../../shared/observe/progress.ts';
import { Terminal } from '../../../shared/observe/terminal.ts';

const clock = { nowMs: () => 1234.5 };
const plainLog: LogSection = { level: 'info', format: 'auto', eventsFile: null };
const base = { role: 'primary', guest: 'lab' };

/** A stream that keeps what was written to it. */
function recorder(isTTY: boolean, columns = 80) {
  const written: string[] = [];
  return { isTTY, columns, written, write: (text: string) => void written.push(text) };
}

const stateEvent: AgentEvent = {
  kind: 'state',
  role: 'primary',
  from: 'synchronising',
  to: 'protected',
  cause: 'the first epoch is acknowledged',
};

const epochEvent = (number: number, pauseMs: number): AgentEvent => ({
  kind: 'epoch',
  epoch: epoch(number),
  pausedAtMs: 0,
  pauseMs,
  phasesMs: { stop: 0, scan: 0, copy: 0, device: 0, resume: 0 },
  dirtyPages: 100,
  liveRounds: 0,
  livePages: 0,
  pausedPages: 1,
  changedPages: 90,
  changedBlocks: 900,
  sharedBlocks: 9,
  encodeMs: 1,
  wireBytes: 40_960,
  pageBytes: 409_600,
  ramDigest: '0123456789abcdef',
});

const takeoverEvent: AgentEvent = {
  kind: 'takeover',
  planned: false,
  epoch: epoch(29),
  session: sessionId('0123456789abcdef'),
  term: term(2),
  ramDigestExpected: 'a',
  ramDigestFound: 'a',
  lastHeardAtMs: 0,
  phasesMs: { detect: 201, decide: 0.1, load: 22, verify: 120, resume: 0.4, total: 343.5 },
  pid: 4,
};

test('off a terminal each change is a line of JSON, and epochs are none', async (t) => {
  const stream = recorder(false);
  const observer = createObserver({ log: plainLog, base, stream, clock });
  observer.emit(stateEvent);
  observer.emit(epochEvent(1, 2));
  observer.emit(takeoverEvent);
  observer.emit({ kind: 'error', code: 'E_X', message: 'it broke', hint: 'mend it' });
  await observer.close();
  const lines = stream.written.map((line) => JSON.parse(line));
  t.deepEqual(
    lines.map((line) => [line.level, line.event]),
    [
      ['info', 'state'],
      ['info', 'takeover'],
      ['error', 'error'],
    ],
  );
  t.like(lines[0], { role: 'primary', guest: 'lab', from: 'synchronising', to: 'protected' });
  t.like(lines[0], { cause: 'the first epoch is acknowledged' });
  t.like(lines[1], { epoch: 29, totalMs: 343.5, detectMs: 201, ramVerified: true });
  t.like(lines[2], { code: 'E_X', hint: 'mend it', message: 'it broke' });
});

test('the level decides what is worth a line', async (t) => {
  for (const format of ['json', 'pretty'] as const) {
    const stream = recorder(false);
    const log: LogSection = { ...plainLog, format, level: 'warn' };
    const observer = createObserver({ log, base, stream, clock });
    observer.emit(stateEvent);
    observer.emit({ kind: 'warning', code: 'E_Y', message: 'careful', hint: 'look' });
    await observer.close();
    t.is(stream.written.length, 1, format);
    t.regex(stream.written[0]!, /careful/);
  }
});

test('on a terminal lines stand above a status line that closing takes away', async (t) => {
  const stream = recorder(true);
  const observer = createObserver({ log: plainLog, base, stream, clock });
  observer.emit(stateEvent);
  observer.emit(epochEvent(7, 2.5));
  const deadline = Date.now() + 120_000;
  while (!stream.written.join('').includes('epoch 7') && Date.now() < deadline) {
    await new Promise((done) => setTimeout(done, 20));
  }
  observer.emit(takeoverEvent);
  await observer.close();
  const text = stream.written.join('');
  t.true(text.includes('synchronising → protected: the first epoch is acknowledged'));
  const status = 'protected · epoch 7 · pause 2.5 ms · 7 not acknowledged · 100 dirty';
  t.true(text.includes(status), text);
  // The line erases the status, which is drawn again below it.
  const line = stream.written.at(-2)!;
  t.true(line.startsWith('\r\x1b[2K'));
  t.regex(line, /resumed here at epoch 29.*\n.*epoch 7/);
  t.is(stream.written.at(-1), '\r\x1b[2K');
});

test('a status line never wraps', (t) => {
  const stream = recorder(true, 20);
  const terminal = new Terminal(stream, {});
  terminal.status('a'.repeat(50));
  t.is(stream.written[0], `\r\x1b[2K${'a'.repeat(18)}…`);
  const pipe = recorder(false);
  new Terminal(pipe, {}).status('never seen');
  t.deepEqual(pipe.written, []);
});

test('colour is for terminals that want it', (t) => {
  t.true(new Terminal(recorder(true), {}).isColoured);
  t.true(new Terminal(recorder(true), { NO_COLOR: '' }).isColoured);
  t.false(new Terminal(recorder(true), { NO_COLOR: '1' }).isColoured);
  t.false(new Terminal(recorder(true), { TERM: 'dumb' }).isColoured);
  t.false(new Terminal(recorder(false), {}).isColoured);
  const entry = { level: 'warn', message: 'm', fields: { code: 'E_X', hint: 'h' } } as const;
  const at = new Date(2020, 0, 1, 2, 3, 4, 5);
  t.is(entryLine(entry, at, false), `02:03:04.005 warn  m code=E_X\n${' '.repeat(19)}hint: h`);
  t.true(entryLine(entry, at, true).includes('\x1b[33mwarn'));
});

test('a listener that fails is let go, and the others hear of it', (t) => {
  const hub = new EventHub(clock);
  const heard: TimedEvent[] = [];
  let calls = 0;
  hub.subscribe(() => {
    calls += 1;
    throw new Error('full');
  });
  const unsubscribe = hub.subscribe((event) => heard.push(event));
  t.notThrows(() => hub.emit(stateEvent));
  hub.emit(stateEvent);
  t.is(calls, 1);
  t.deepEqual(
    heard.map((event) => event.kind),
    ['warning', 'state', 'state'],
  );
  t.is(heard[1]!.atMs, 1234.5);
  unsubscribe();
  hub.emit(stateEvent);
  t.is(heard.length, 3);
});

test('progress sums up the time since the last look, and starts anew', (t) => {
  const progress = new Progress();
  const note = (event: AgentEvent) => progress.note({ ...event, atMs: 0 });
  t.is(progress.line(), undefined);
  t.is(progress.record(), undefined);
  note(stateEvent);
  note(epochEvent(11, 2));
  note(epochEvent(12, 4));
  note({ kind: 'ack', epoch: epoch(11), lagMs: 12.3456 });
  t.deepEqual(progress.record(), {
    event: 'progress',
    state: 'protected',
    epoch: 12,
    epochAcked: 11,
    epochs: 2,
    pauseMsMean: 3,
    pauseMsMax: 4,
    dirtyPages: 200,
    wireBytes: 81_920,
    pageBytes: 819_200,
    ackLagMsMax: 12.346,
  });
  t.is(progress.record(), undefined);
  note(epochEvent(13, 1));
  note({ kind: 'ack', epoch: epoch(12), lagMs: 12.3456 });
  t.is(
    progress.line(),
    'protected · epoch 13 · pause 1.0 ms · ack 12.3 ms · 100 dirty · ' +
      'wire 40.0 KiB of 400.0 KiB (10.0 %)',
  );
  const digest = { ramDigest: 'a', session: sessionId('0123456789abcdef') };
  note({ kind: 'commit', epoch: epoch(13), pages: 90, bytes: 40_960, applyMs: 3, ...digest });
  t.is(progress.line(), 'protected · epoch 13 applied · 90 pages · 40.0 KiB · in 3.0 ms');
});

test('times and sizes are short and have their unit', (t) => {
  t.deepEqual([0.421, 3.14, 250.4, 12_500].map(ms), ['0.42 ms', '3.1 ms', '250 ms', '12.5 s']);
  const sizes = [0, 812, 3174, 1.5 * 2 ** 30].map(bytesText);
  t.deepEqual(sizes, ['0 B', '812 B', '3.1 KiB', '1.5 GiB']);
});

test('the events file has every event, in order, after what was there', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'understudy-observe-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, 'events.jsonl');
  for (const start of [0, 500]) {
    const log: LogSection = { ...plainLog, level: 'error', eventsFile: path };
    const observer = createObserver({ log, base, stream: recorder(false), clock });
    for (let number = start; number < start + 500; number++) {
      observer.emit(epochEvent(number, 1));
      if (number % 50 === 0) await nextTurn();
    }
    await observer.close();
  }
  const lines = readFileSync(path, 'utf8').trimEnd().split('\n');
  const epochs = lines.map((line) => JSON.parse(line).epoch);
  t.deepEqual(
    epochs,
    Array.from({ length: 1000 }, (_, index) => index),
  );
  t.deepEqual(JSON.parse(lines[0]!), { ...epochEvent(0, 1), atMs: 1234.5 });
});

test('an events file that can not be opened is refused at start', (t) => {
  const log: LogSection = { ...plainLog, eventsFile: '/no/such/folder/events.jsonl' };
  const error = t.throws(() => createObserver({ log, base, stream: recorder(false), clock }));
  t.true(isUnderstudyError(error, 'E_EVENTS_FILE'));
});

test('a disk that is full ends the events file, not the agent', async (t) => {
  const failures: UnderstudyError[] = [];
  const failed = new Promise<void>((done) => {
    const file = new EventsFile('/dev/full', (error) => {
      failures.push(error);
      done();
    });
    file.add({ ...stateEvent, atMs: 0 });
    t.teardown(() => file.close());
  });
  await failed;
  t.is(failures.length, 1);
  t.true(failures[0] instanceof UnderstudyError && failures[0].message.includes('ENOSPC'));
});

test('events beyond the bound are dropped and counted, never kept', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'understudy-observe-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, 'events.jsonl');
  const file = new EventsFile(path, () => t.fail());
  const cause = 'x'.repeat(1024 * 1024 - 200);
  for (let index = 0; index < 10; index++) file.add({ ...stateEvent, cause, atMs: index });
  await file.close();
  const lines = readFileSync(path, 'utf8').trimEnd().split('\n');
  t.is(lines.length, 5);
  t.deepEqual(JSON.parse(lines[4]!), { kind: 'dropped', count: 6 });
});
