import { rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { isUnderstudyError, UnderstudyError } from '../errors.ts';
import { parseBaseline } from './migration-stream.ts';
import type { QemuProcess } from './qemu-process.ts';

/**
 * A migration of the paused guest without the shared RAM, received on a unix socket and checked.
 * QEMU stays in "postmigrate": paused, and able to continue.
 *
 * Errors: `E_GUEST_UNPROTECTABLE` (QEMU refuses to migrate this guest), `E_BASELINE_FAILED`.
 */
export async function saveBaselineStream(process: QemuProcess): Promise<Uint8Array> {
  const path = process.paths.stream;
  await setMigrationOptions(process);
  const receiver = await receive(path);
  try {
    await startMigration(process, `unix:${path}`);
    const stream = await receiver.stream;
    await completed(process);
    parseBaseline(stream);
    return stream;
  } finally {
    receiver.close();
    rmSync(path, { force: true });
  }
}

/** What both ends of a stream must have set. No limit of speed: the socket is on this host. */
export async function setMigrationOptions(process: QemuProcess): Promise<void> {
  const names = ['x-ignore-shared', 'events'];
  const capabilities = names.map((capability) => ({ capability, state: true }));
  await process.execute('migrate-set-capabilities', { capabilities });
  await process.execute('migrate-set-parameters', { 'max-bandwidth': bytesPerSecondMax });
}

const bytesPerSecondMax = 2 ** 40;
const baselineBytesMax = 256 * 2 ** 20;
const baselineTimeoutMs = 10_000;

interface Receiver {
  readonly stream: Promise<Uint8Array>;
  close(): void;
}

/** Listens for the one connection that carries the stream, and collects it. */
async function receive(path: string): Promise<Receiver> {
  rmSync(path, { force: true });
  const server = createServer();
  const sockets: Socket[] = [];
  const { promise, resolve, reject } = settlable<Uint8Array>();
  const timer = setTimeout(
    () => reject(failed(`nothing more came for ${baselineTimeoutMs} ms`)),
    baselineTimeoutMs,
  );
  server.on('connection', (socket) => {
    sockets.push(socket);
    const chunks: Buffer[] = [];
    let bytes = 0;
    socket.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > baselineBytesMax) reject(failed(`it has more than ${baselineBytesMax} bytes`));
      else chunks.push(chunk);
    });
    socket.on('error', (error) => reject(failed(error.message)));
    socket.on('close', () => resolve(Buffer.concat(chunks)));
  });
  await new Promise<void>((listening, refused) => {
    server.once('error', refused);
    server.listen(path, listening);
  });
  promise.catch(() => undefined); // a caller that failed earlier does not wait for it
  return {
    stream: promise,
    close: () => {
      clearTimeout(timer);
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

async function startMigration(process: QemuProcess, uri: string): Promise<void> {
  try {
    await process.execute('migrate', { uri });
  } catch (error) {
    if (!isUnderstudyError(error, 'E_QMP_ERROR')) throw error;
    const reason = String(error.fields.reason);
    throw new UnderstudyError('E_GUEST_UNPROTECTABLE', `QEMU can't migrate this guest: ${reason}`, {
      hint: 'Remove the device that QEMU names from the guest.',
      fields: { reason },
      cause: error,
    });
  }
}

/** The stream's end may be seen a moment before QEMU has settled its own state. */
async function completed(process: QemuProcess): Promise<void> {
  const deadline = performance.now() + baselineTimeoutMs;
  for (;;) {
    const answer = await process.execute<{ status?: string; 'error-desc'?: string }>(
      'query-migrate',
    );
    if (answer.status === 'completed') return;
    if (answer.status === 'failed' || answer.status === 'cancelled') {
      throw failed(answer['error-desc'] ?? answer.status);
    }
    if (performance.now() > deadline) throw failed(`QEMU stays in ${answer.status}`);
  }
}

function failed(reason: string): UnderstudyError {
  return new UnderstudyError('E_BASELINE_FAILED', `the baseline was not saved: ${reason}`, {
    hint: 'It is tried again with the next checkpoint; see qemu.log if it keeps failing.',
    fields: { reason },
  });
}

function settlable<T>(): {
  readonly promise: Promise<T>;
  readonly resolve: (value: T) => void;
  readonly reject: (error: Error) => void;
} {
  let resolve!: (value: T) => void;
  let reject!: (error: Error) => void;
  const promise = new Promise<T>((onValue, onError) => {
    resolve = onValue;
    reject = onError;
  });
  return { promise, resolve, reject };
}
