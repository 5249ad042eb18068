import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ExecutionContext } from 'ava';
import { parseAllDocuments } from 'yaml';
import { parseConfig } from '../../shared/config/load.ts';
import { toNatsSettings } from '../../shared/config/nats-section.ts';
import type { PrimaryConfig } from '../../shared/config/schema.ts';
import type { GuestName } from '../../shared/ids.ts';
import type { NatsSettings } from '../../shared/transport/nats-transport.ts';

/** Real NATS servers on this machine, set up by the commands that an operator uses. */

const command = fileURLToPath(new URL('../../../bin/understudy', import.meta.url));
const address = '127.0.0.1';

export interface SecureServers {
  readonly folder: string;
  /** The `nats` section that was printed for `guest@host`, in an agent's file of its own. */
  config(guest: string, host: string, more?: object): PrimaryConfig;
  settings(guest: string, host: string): NatsSettings;
  /** Kills the server of this number, from 0. */
  kill(index: number): void;
}

export async function startSecureServers(
  t: ExecutionContext,
  users: readonly string[],
  count = 1,
): Promise<SecureServers> {
  const folder = mkdtempSync(join(tmpdir(), 'understudy-test-secure-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const run = (...args: string[]) =>
    execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  const hosts = [...new Set(users.map((user) => user.split('@')[1]!))];
  run('nats', 'certificates', folder, address, ...hosts);
  const ports = await freePorts(count);
  const servers = ports.map((port) => `${address}:${port}`).join(',');
  const store = join(folder, 'store');
  const printed = run('nats', 'config', folder, ...users, '--servers', servers, '--store', store);
  const children = ports.map((_, index) => {
    const file = join(folder, `understudy-${index + 1}.conf`);
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', 'nats-server', '-c', file], {
      stdio: 'ignore',
      env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` },
    });
    const ended = once(child, 'exit');
    t.teardown(async () => {
      // Its folder can be removed only when it writes no more.
      child.kill('SIGKILL');
      await ended;
    });
    return child;
  });
  const sections = new Map(
    parseAllDocuments(printed.replace(/^# (\S+) on (\S+)$/gm, '---\nuser: $1@$2')).map((one) => {
      const { user, ...section } = one.toJS() as { user: string };
      return [user, section];
    }),
  );
  const config = (guest: string, host: string, more: object = {}): PrimaryConfig => {
    const section = sections.get(`${guest}@${host}`);
    const text = { role: 'primary', guest: { name: guest, kernel: '/k' }, ...section, ...more };
    return parseConfig(JSON.stringify(text), join(folder, 'agent.yaml')) as PrimaryConfig;
  };
  return {
    folder,
    config,
    settings: (guest, host) =>
      toNatsSettings(config(guest, host).nats, guest as GuestName, `${guest}@${host}`),
    kill: (index) => children[index]!.kill('SIGKILL'),
  };
}

export const serverFile = (servers: SecureServers, index = 0): string =>
  readFileSync(join(servers.folder, `understudy-${index + 1}.conf`), 'utf8');

/** Ports that are free, and 2000 above them, too: the cluster's. */
async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  while (ports.length < count) {
    const port = 10_000 + Math.floor(Math.random() * 20_000);
    if (!ports.includes(port) && (await isFree(port)) && (await isFree(port + 2000))) {
      ports.push(port);
    }
  }
  return ports;
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, address, () => server.close(() => resolve(true)));
  });
}
