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
