import { setTimeout as sleep } from 'node:timers/promises';
import { createClient } from '@redis/client';
import { isUnderstudyError } from '../../shared/errors.ts';
import { stepError } from '../drill-error.ts';

export type StoreClient = ReturnType<typeof openClient>;

const retryMs = 20;
const attemptMs = 2_000;

/** A port, or a unix socket. */
export type StoreAddress =
  | { readonly host: string; readonly port: number }
  | { readonly path: string };

/**
 * A connection to the guest's Redis. It never reconnects by
 * itself, so that no write is sent twice: what was sent and not answered is unknown, as it is
 * for any client whose server dies. Tries until the deadline, as the guest may still boot.
 */
export async function connectStore(
  address: StoreAddress,
  deadlineMs: number,
  signal: AbortSignal,
): Promise<StoreClient> {
  const endAtMs = performance.now() + deadlineMs;
  for (;;) {
    signal.throwIfAborted();
    const client = openClient(address);
    // Without a listener an error event would end the process; commands report errors as well.
    client.on('error', () => {});
    try {
      // The handshake has no deadline of its own, and a guest that boots answers nothing.
      await withDeadline(
        client.connect().then(() => client.ping()),
        attemptMs,
      );
      return client;
    } catch (error) {
      if (client.isOpen) client.destroy();
      if (performance.now() > endAtMs) {
        const place = 'path' in address ? address.path : `${address.host}:${address.port}`;
        const message = `no answer from the store on ${place} for ${deadlineMs} ms`;
        throw stepError(message, { ...address }, error);
      }
    }
    await sleep(retryMs);
  }
}

function openClient(address: StoreAddress) {
  return createClient({
    socket: { ...address, reconnectStrategy: false, connectTimeout: attemptMs },
    disableOfflineQueue: true,
  });
}

/** The answer. Throws `E_DRILL_STEP` where the store refuses, or after `deadlineMs`. */
export async function withDeadline<T>(answer: Promise<T>, deadlineMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(stepError(`the guest's store does not answer for ${deadlineMs} ms`)),
      deadlineMs,
    );
  });
  try {
    return await Promise.race([answer, late]);
  } catch (error) {
    if (isUnderstudyError(error)) throw error;
    throw stepError(`the guest's store failed: ${error}`, {}, error);
  } finally {
    clearTimeout(timer);
  }
}
