/**
 * The thread of one encoder: it has the shard's kernels and hash index to itself. What throws here
 * ends the thread, which ends the session.
 */
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { pageBytes } from '../../shared/ids.ts';
import { RamFile } from '../../shared/memory/ram-file.ts';
import { PageSet } from '../../shared/page-set.ts';
import type { EncoderAnswer, EncoderTask, FromEncoder, ToEncoder } from './encoder-message.ts';
import { EpochEncoder } from './epoch-encoder.ts';
import { warmUp, warmUpRam } from './warm-up.ts';

const task = workerData as EncoderTask;
const port = parentPort!;
const { chunkBytes, pageCount, ramFile } = task.options;
const outputs = Array.from({ length: task.outputCount }, (_, i) =>
  Buffer.from(task.outputs, i * chunkBytes, chunkBytes),
);
const free = outputs.map((_, i) => i);

if (task.warmUp !== undefined) {
  const { options, space } = task.warmUp;
  const place = { index: 0, count: 1 };
  warmUp(EpochEncoder.start(options, space, place, Buffer.alloc(chunkBytes), warmUpRam));
}
const { options, space, shard } = task;
const encoder = EpochEncoder.start(options, space, shard, outputs[0]!, openRam());
/** A segment that is not encoded to its end yet. */
let chunks: Generator<Uint8Array, void, void> | undefined;

port.on('message', (message: ToEncoder) => {
  take(message);
  goOn();
});
post({ kind: 'ready' });

function take(message: ToEncoder): void {
  switch (message.kind) {
    case 'free':
      free.push(message.output);
      return;
    case 'encode':
      if (chunks !== undefined) throw new Error('a segment is being encoded');
      chunks = encoder.encode(message.count);
      return;
    case 'adopt':
      encoder.adopt(message.count);
      answer({});
      return;
    case 'adopt-digests':
      encoder.adoptDigests(message.digests);
      answer({});
      return;
    case 'adopt-zeros':
      encoder.adoptZeros(message.first, message.end);
      return;
    case 'differing':
      answer({ pages: encoder.differing(message.count) });
      return;
    case 'forget':
      encoder.forget(setOf(message.pages));
      return;
    case 'begin':
      encoder.begin(message.epoch, message.choice);
      return;
    case 'finish':
      answer({ summary: encoder.finish() });
      return;
    case 'settle':
      answer({});
  }
}

/** Fills free outputs with chunks. Where none is left it waits for the next message. */
function goOn(): void {
  while (chunks !== undefined) {
    takeWaiting();
    const output = free.shift();
    if (output === undefined) return;
    encoder.output = outputs[output]!;
    const { value } = chunks.next();
    if (value !== undefined) {
      post({ kind: 'chunk', output, bytes: value.length });
      continue;
    }
    free.push(output);
    chunks = undefined;
    post({ kind: 'encoded' });
  }
}

/** Outputs that have become free meanwhile. */
function takeWaiting(): void {
  for (;;) {
    const waiting = receiveMessageOnPort(port) as { message: ToEncoder } | undefined;
    if (waiting === undefined) return;
    take(waiting.message);
  }
}

/** A file of this thread's own: it is closed when the thread ends. */
function openRam(): RamFile | undefined {
  if (ramFile === undefined) return undefined;
  try {
    return RamFile.open(ramFile, pageCount * pageBytes);
  } catch {
    // Somebody deleted its name. The guest still has it, and is protected as well: only what could
    // be referred to is sent.
    return undefined;
  }
}

function setOf(pages: Uint32Array): PageSet {
  const set = new PageSet(pageCount);
  for (const page of pages) set.add(page);
  return set;
}

function answer(answered: EncoderAnswer): void {
  post({ kind: 'answer', answer: answered });
}

function post(message: FromEncoder): void {
  port.postMessage(message);
}
