import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { join, resolve } from 'node:path';
import { stringify } from 'yaml';
import { UnderstudyError } from '../shared/errors.ts';
import { isGuestName } from '../shared/ids.ts';
import { newNkey, publicNkey } from '../shared/transport/nats-transport.ts';
import { certificateFiles, makeCertificates } from './certificates.ts';
import type { RunCommand } from './command.ts';
import { exitCode } from './exit-code.ts';
import {
  bracketed,
  type ServerAddress,
  type ServerUser,
  serverConfig,
  serverName,
} from './nats-server-config.ts';

/** `understudy nats certificates DIR NAME...` */
export const runCertificates: RunCommand = async (input) => {
  const [folder, ...names] = input.positionals;
  const days = Number(input.text('days') ?? 825);
  if (!Number.isSafeInteger(days) || days < 1) throw usage(`"${input.text('days')}" is no number`);
  for (const name of names) if (!isHost(name)) throw usage(`"${name}" is no host`);
  const made = makeCertificates(resolve(folder!), names, days);
  for (const file of made) process.stdout.write(`${file}\n`);
  return exitCode.ok;
};

/**
 * `understudy nats config DIR GUEST@HOST... --servers HOST[,HOST,HOST]`: a file for each server
 * and a seed for each user; what an agent's file needs goes to standard output. Seeds that are
 * there are kept, so that a guest can be added later.
 */
export const runNatsConfig: RunCommand = async (input) => {
  const [given, ...names] = input.positionals;
  const folder = resolve(given!);
  const storeFolder = resolve(input.text('store') ?? '/var/lib/understudy-nats');
  const servers = input.text('servers')!.split(',').map(toAddress);
  if (![1, 3, 5].includes(servers.length)) {
    throw usage('a record that survives a server needs 3 of them, or 5; without that, name 1');
  }
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const users = names.map((name) => toUser(name, folder));
  const plan = { servers, users, folder, storeFolder };
  for (const [index] of servers.entries()) {
    const file = join(folder, `${serverName(index)}.conf`);
    writeFileSync(file, serverConfig(plan, index));
    process.stderr.write(`wrote ${file}: nats-server -c ${file} on ${servers[index]!.host}\n`);
  }
  for (const user of users) process.stdout.write(agentSections(user, servers, folder));
  return exitCode.ok;
};

const isHost = (text: string): boolean =>
  isIP(text) !== 0 || /^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$/.test(text);
const seedFile = (folder: string, name: string): string => join(folder, `${name}.seed`);

function toUser(name: string, folder: string): ServerUser {
  const [guest = '', host = '', ...rest] = name.split('@');
  if (!isGuestName(guest) || !isHost(host) || rest.length > 0) {
    throw usage(`"${name}" is no GUEST@HOST, such as redis-1@host-a`);
  }
  const file = seedFile(folder, name);
  if (existsSync(file)) {
    return { guest, host, publicKey: publicNkey(readFileSync(file, 'utf8').trim()) };
  }
  const { seed, publicKey } = newNkey();
  writeFileSync(file, `${seed}\n`, { mode: 0o600 });
  return { guest, host, publicKey };
}

function toAddress(text: string): ServerAddress {
  const match = /^(?:\[([0-9A-Fa-f:]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/.exec(text.trim());
  const host = match?.[1] ?? match?.[2] ?? '';
  if (!isHost(host)) throw usage(`"${text}" is no server, such as host-a:4222`);
  return { host, port: Number(match?.[3] ?? 4222) };
}

/** What goes into the agent's file on that host. */
function agentSections(
  { guest, host }: ServerUser,
  servers: readonly ServerAddress[],
  folder: string,
): string {
  const sections = {
    nats: {
      servers: servers.map((one) => `tls://${bracketed(one.host)}:${one.port}`),
      nkeySeedFile: seedFile(folder, `${guest}@${host}`),
      tls: { caFile: join(folder, 'ca.pem'), ...certificateFiles(folder, host) },
    },
    arbiter: { replicas: Math.min(servers.length, 3) },
  };
  return `# ${guest} on ${host}\n${stringify(sections, { lineWidth: 0 })}\n`;
}

const usage = (message: string): UnderstudyError =>
  new UnderstudyError('E_USAGE', message, {
    hint: '`understudy nats config --help` says how it is used',
  });
