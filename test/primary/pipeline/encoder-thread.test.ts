import test, { type ExecutionContext } from 'ava';
import type { EncoderQuestion } from '../../../primary/pipeline/encoder-message.ts';
import { EncoderThread } from '../../../primary/pipeline/encoder-thread.ts';
import { ThreadEncoder } from '../../../primary/pipeline/thread-encoder.ts';
import { bounds } from '../../../shared/bounds.ts';
import { epoch, pageBytes } from '../../../shared/ids.ts';
import { Random, smallOptions } from './codec-fixture.ts';

const outputCount = 2;

/** A real thread, of which chunks are counted and not taken. */
async function openThread(t: ExecutionContext) {
  const options = { ...smallOptions, chunkBytes: 32 * 1024 };
  const [space] = await ThreadEncoder.reserve(options, 1);
  const { outputs } = space!;
  const shard = { index: 0, count: 1 };
  const deaths: string[] = [];
  let chunks = 0;
  const waiting: (() => void)[] = [];
  const thread = new EncoderThread(
    { options, space: space!, outputs, outputCount, shard, warmUp: undefined },
    {
      onChunk: () => {
        chunks += 1;
        if (chunks === outputCount) waiting.pop()?.();
      },
      onEncoded: () => {},
      onDeath: ({ message }) => deaths.push(message),
    },
  );
  t.teardown(() => thread.end(new Error('the test is over')));
  const full = new Promise<void>((resolve) => waiting.push(resolve));
  await thread.ready();
  const look = (times: number) => {
    for (let i = 0; i < times; i++) thread.look();
  };
  return { thread, space: space!, deaths, full, look };
}

test('a thread that owes an answer and says nothing is given up, and whoever waits is told', async (t) => {
  const { thread, deaths, look } = await openThread(t);
  // Nothing is owed: a thread may sleep for as long as it likes.
  look(5 * bounds.encoderSilentLooksMax);
  await thread.ask({ kind: 'settle' });
  t.deepEqual(deaths, []);
  // What it does not know it does not answer: from here that is a thread that hangs.
  const hangs = thread.ask({ kind: 'no such question' } as unknown as EncoderQuestion);
  look(bounds.encoderSilentLooksMax);
  t.deepEqual(deaths, []);
  look(1);
  await t.throwsAsync(hangs, { code: 'E_ENCODER_WORKER', message: /said nothing/ });
  t.is(deaths.length, 1);
  look(100);
  t.is(deaths.length, 1);
});

test('a thread that waits for the stream to take its chunks does not hang', async (t) => {
  const { thread, space, deaths, full, look } = await openThread(t);
  const { memory, regions } = space;
  const count = 64;
  const random = new Random(3);
  random.fill(new Uint8Array(memory.buffer, regions.capture, count * pageBytes));
  const pages = new Uint32Array(memory.buffer, regions.capturePages, count);
  for (let page = 0; page < count; page++) pages[page] = page;
  thread.post({ kind: 'begin', epoch: epoch(1), choice: undefined });
  thread.post({ kind: 'encode', count });
  await full;
  look(5 * bounds.encoderSilentLooksMax);
  t.deepEqual(deaths, []);
  // It owes the next one from the moment at which it may go on.
  thread.post({ kind: 'free', output: 0 });
  look(bounds.encoderSilentLooksMax + 1);
  t.is(deaths.length, 1);
});
