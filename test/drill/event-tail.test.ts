import { appendFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { EventTail } from '../../drill/event-tail.ts';
import { isKind } from '../../drill/measure.ts';

const ack = (epoch: number) => `${JSON.stringify({ kind: 'ack', epoch, lagMs: 1, atMs: epoch })}\n`;

test('events are read once each, in order, also from lines written in pieces', async (t) => {
  const { tail, file } = await makeTail(t);
  tail.poll();
  t.deepEqual(tail.events, [], 'no file yet');
  await appendFile(file, ack(1) + ack(2).slice(0, 11));
  tail.poll();
  tail.poll();
  t.deepEqual(epochs(tail), [1]);
  await appendFile(file, ack(2).slice(11) + ack(3));
  tail.poll();
  t.deepEqual(epochs(tail), [1, 2, 3]);
});

test('text cut inside a character is not damaged', async (t) => {
  const { tail, file } = await makeTail(t);
  const bytes = Buffer.from(
    `${JSON.stringify({ kind: 'warning', code: 'E', message: 'höß', hint: '', atMs: 1 })}\n`,
  );
  for (const byte of bytes) {
    await appendFile(file, Buffer.from([byte]));
    tail.poll();
  }
  t.like(tail.events[0], { message: 'höß' });
});

test('a line that is no event is an error that shows it', async (t) => {
  const { tail, file } = await makeTail(t);
  await appendFile(file, 'Segmentation fault\n');
  t.throws(() => tail.poll(), { code: 'E_DRILL_STEP', message: /Segmentation fault/ });
});

test('waiting finds what was there already, and what comes', async (t) => {
  const { tail, file } = await makeTail(t);
  await appendFile(file, ack(1));
  const options = { what: 'an ack', deadlineMs: 120_000 };
  t.is((await tail.waitFor(isKind('ack'), options)).index, 0);
  const later = tail.waitFor(isKind('ack'), { ...options, from: 1 });
  await appendFile(file, ack(2));
  t.is((await later).event.epoch, 2 as never);
});

test('waiting ends at its deadline, naming what was waited for', async (t) => {
  const { tail } = await makeTail(t);
  const wait = tail.waitFor(isKind('ack'), { what: 'a sign', deadlineMs: 30 });
  await t.throwsAsync(wait, { code: 'E_DRILL_STEP', message: /30 ms for a sign/ });
});

test('the last words of a process that ended are read before giving up', async (t) => {
  const { tail, file } = await makeTail(t);
  await appendFile(file, ack(1));
  const givenUp = () => 'it ended';
  const options = { what: 'a sign', deadlineMs: 120_000, givenUp };
  t.is((await tail.waitFor(isKind('ack'), options)).index, 0);
  const wait = tail.waitFor(isKind('ack'), { ...options, from: 1 });
  await t.throwsAsync(wait, { code: 'E_DRILL_STEP', message: /a sign, but it ended/ });
});

test('an interruption ends waiting with its own error', async (t) => {
  const { tail } = await makeTail(t);
  const reason = new Error('interrupted');
  const signal = AbortSignal.abort(reason);
  const wait = tail.waitFor(isKind('ack'), { what: 'a sign', deadlineMs: 120_000, signal });
  t.is(await t.throwsAsync(wait), reason);
});

const epochs = (tail: EventTail) => tail.events.filter(isKind('ack')).map((e) => Number(e.epoch));

async function makeTail(t: ExecutionContext) {
  const folder = await mkdtemp(join(tmpdir(), 'event-tail-test-'));
  const file = join(folder, 'events.jsonl');
  const tail = new EventTail(file);
  t.teardown(async () => {
    tail.close();
    await rm(folder, { recursive: true, force: true });
  });
  return { tail, file };
}
