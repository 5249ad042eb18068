/** The thread that reads a TAP. Started by `tap-reader.ts`, which says why there is one. */
import { parentPort, workerData } from 'node:worker_threads';
import { systemCode } from '../errors.ts';
import { type Mapping, mapAnonymous, pollReadable, readInto } from '../native/libc.ts';
import { networkBounds } from './network-bounds.ts';
import { type FromTapReader, type TapReaderTask, tapControl } from './tap-reader.ts';

if (parentPort === null) throw new Error('tap-reader-worker.ts runs as a worker');
const port = parentPort;
const { fd, waker, control: memory } = workerData as TapReaderTask;
const control = new Int32Array(memory);
const { uplinkBatchBytesMax, uplinkBacklogBytesMax, frameBytesMax } = networkBounds;
/** A process that ends while its thread is in poll(2) waits for it: so it looks up at times. */
const lookUpMs = 200;

const buffer = mapAnonymous(uplinkBatchBytesMax);
const lengths = new DataView(buffer.bytes.buffer, buffer.bytes.byteOffset, uplinkBatchBytesMax);
say({ kind: 'started' });
try {
  while (Atomics.load(control, tapControl.stop) === 0) {
    waitForRoom();
    const [tap] = pollReadable([fd, waker], lookUpMs);
    if (tap!.isReadable || tap!.hasFailed) handOver(readBatch(buffer));
  }
} catch (error) {
  const code = systemCode(error);
  if (code === undefined) throw error;
  say({ kind: 'gone', code });
}

/** Reads frames until there are none or the batch is full. Returns its bytes. */
function readBatch({ address }: Mapping): number {
  let end = 0;
  while (end + 4 + frameBytesMax <= uplinkBatchBytesMax) {
    const length = readInto(fd, address + BigInt(end + 4), frameBytesMax);
    if (length === undefined) break;
    lengths.setUint32(end, length, true);
    end += 4 + length;
  }
  return end;
}

function handOver(bytes: number): void {
  if (bytes === 0) return;
  const batch = buffer.bytes.slice(0, bytes);
  Atomics.add(control, tapControl.backlogBytes, bytes);
  port.postMessage({ kind: 'frames', batch } satisfies FromTapReader, [batch.buffer]);
}

/** A busy main thread: the kernel's own queue fills, and drops as a network does. */
function waitForRoom(): void {
  for (;;) {
    const backlog = Atomics.load(control, tapControl.backlogBytes);
    if (backlog < uplinkBacklogBytesMax || Atomics.load(control, tapControl.stop) !== 0) return;
    Atomics.wait(control, tapControl.backlogBytes, backlog, lookUpMs);
  }
}

function say(message: FromTapReader): void {
  port.postMessage(message);
}
