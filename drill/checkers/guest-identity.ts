import { setTimeout as sleep } from 'node:timers/promises';
import type { Check } from '../check.ts';
import { stepError } from '../drill-error.ts';
import { type StoreClient, withDeadline } from './store-connection.ts';

/**
 * What tells one life of the guest from another: none of it survives a reboot of the guest or a
 * restart of its processes.
 */
export interface GuestIdentity {
  readonly bootId: string;
  /** Drawn by the Redis process when it starts. */
  readonly storeRunId: string;
  /** Number of the connection of the process that counts; another process has another one. */
  readonly counterConnection: string;
  readonly counter: number;
}

export async function readGuestIdentity(
  client: StoreClient,
  deadlineMs: number,
): Promise<GuestIdentity> {
  const ask = (...words: string[]) => withDeadline(client.sendCommand(words), deadlineMs);
  const info = String(await ask('INFO', 'server'));
  const connections = String(await ask('CLIENT', 'LIST')).split('\n');
  const counting = connections.find((line) => /addr=127\.0\.0\.1:.* cmd=incr /.test(line));
  return {
    bootId: String((await ask('GET', 'lab:boot-id')) ?? ''),
    storeRunId: /^run_id:(\w+)/m.exec(info)?.[1] ?? '',
    counterConnection: /^id=(\d+)/.exec(counting ?? '')?.[1] ?? '',
    counter: Number((await ask('GET', 'lab:counter')) ?? Number.NaN),
  };
}

const answerMs = 5_000;

/** Redis answers before the guest's own counter has started. */
export async function waitForIdentity(
  client: StoreClient,
  deadlineMs: number,
  signal: AbortSignal,
): Promise<GuestIdentity> {
  const endAtMs = performance.now() + deadlineMs;
  for (;;) {
    const identity = await readGuestIdentity(client, answerMs);
    if (identity.counterConnection !== '' && identity.counter > 0) return identity;
    if (performance.now() > endAtMs) throw stepError("the guest's counter does not start");
    await sleep(50, undefined, { signal });
  }
}

export function isSameLife(before: GuestIdentity, now: GuestIdentity): boolean {
  return (
    before.bootId === now.bootId &&
    before.storeRunId === now.storeRunId &&
    before.counterConnection === now.counterConnection
  );
}

/** `counterBefore`: what a client had last seen of the counter. */
export function lifeChecks(
  before: GuestIdentity,
  first: GuestIdentity,
  last: GuestIdentity,
  counterBefore: number,
): Check[] {
  return [
    {
      name: 'same-boot',
      ok: before.bootId !== '' && first.bootId === before.bootId,
      detail: `boot id ${first.bootId}, before ${before.bootId}`,
    },
    {
      name: 'same-processes',
      ok: isSameLife(before, first),
      detail:
        `store process ${first.storeRunId.slice(0, 8)} and counting connection ` +
        `${first.counterConnection}, before ${before.storeRunId.slice(0, 8)} and ` +
        `${before.counterConnection}`,
    },
    {
      name: 'counter-continues',
      ok: first.counter >= counterBefore && counterBefore > 0 && last.counter > first.counter,
      detail:
        `the guest's counter was ${counterBefore} before the checkpoint, ${first.counter} ` +
        `after the takeover and ${last.counter} at the end`,
    },
  ];
}
