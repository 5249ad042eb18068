import { isIP } from 'node:net';
import { join } from 'node:path';
import { termStream, termSubject } from '../shared/arbiter/term-stream.ts';
import type { GuestName } from '../shared/ids.ts';
import { serverLimits } from '../shared/transport/embedded-server.ts';
import { subjectsOf } from '../shared/transport/subjects.ts';
import { certificateFiles } from './certificates.ts';

export interface ServerAddress {
  /** A name or an address, as agents and other servers dial it. */
  readonly host: string;
  readonly port: number;
}

/** One guest's agent on one host, as the server knows it. */
export interface ServerUser {
  readonly guest: GuestName;
  readonly host: string;
  /** `U…`, the public half of its nkey. */
  readonly publicKey: string;
}

export interface ServerPlan {
  /** All servers of the system: one, or those of a cluster. */
  readonly servers: readonly ServerAddress[];
  readonly users: readonly ServerUser[];
  /** Where certificates are on the hosts. */
  readonly folder: string;
  /** Where JetStream keeps its files; each server has a subfolder of its own. */
  readonly storeFolder: string;
}

export const serverName = (index: number): string => `understudy-${index + 1}`;
const clusterPort = ({ port }: ServerAddress): number => port + 2000;

/**
 * The configuration file of server `index`: mutual TLS, JetStream in files, the limits that page
 * data needs, and for each user the subjects of its guest and nothing else. Primary and backup
 * change roles, so both sides have the same.
 */
export function serverConfig(plan: ServerPlan, index: number): string {
  const { servers, users, storeFolder } = plan;
  const server = servers[index]!;
  const name = serverName(index);
  const lines = [
    '# Written by `understudy nats config`. The seeds of the keys below are with the agents.',
    `server_name: ${name}`,
    `host: ${JSON.stringify(listenAddress(server))}`,
    `port: ${server.port}`,
    ...serverLimits({}),
    `jetstream { store_dir: ${JSON.stringify(join(storeFolder, name))} }`,
    ...tlsBlock(plan.folder, server),
    ...(servers.length > 1 ? clusterBlock(plan, index) : []),
    'authorization {',
    '  users: [',
    ...users.flatMap(userLines),
    '  ]',
    '}',
  ];
  return `${lines.join('\n')}\n`;
}

/** What the user of a guest may do; answers to its requests come below its own subjects. */
export function permissionsOf(guest: GuestName) {
  const own = `${subjectsOf(guest).root}.>`;
  const api = ['INFO', 'CREATE', 'MSG.GET'].map((verb) => `$JS.API.STREAM.${verb}.${termStream}`);
  return { publish: [own, termSubject(guest, '*'), ...api], subscribe: [own] };
}

function userLines({ guest, host, publicKey }: ServerUser): string[] {
  const { publish, subscribe } = permissionsOf(guest);
  return [
    `    # ${guest}@${host}`,
    `    { nkey: ${publicKey}, permissions: {`,
    `      publish: { allow: ${JSON.stringify(publish)} }`,
    `      subscribe: { allow: ${JSON.stringify(subscribe)} }`,
    '    } }',
  ];
}

function clusterBlock(plan: ServerPlan, index: number): string[] {
  const self = plan.servers[index]!;
  const routes = plan.servers
    .filter((_, other) => other !== index)
    .map((other) => `nats-route://${bracketed(other.host)}:${clusterPort(other)}`);
  return [
    'cluster {',
    '  name: understudy',
    `  listen: ${JSON.stringify(`${bracketed(listenAddress(self))}:${clusterPort(self)}`)}`,
    ...tlsBlock(plan.folder, self).map((line) => `  ${line}`),
    `  routes: ${JSON.stringify(routes)}`,
    '}',
  ];
}

function tlsBlock(folder: string, { host }: ServerAddress): string[] {
  const { certFile, keyFile } = certificateFiles(folder, host);
  return [
    'tls {',
    `  cert_file: ${JSON.stringify(certFile)}`,
    `  key_file: ${JSON.stringify(keyFile)}`,
    `  ca_file: ${JSON.stringify(join(folder, 'ca.pem'))}`,
    '  verify: true',
    '  timeout: 5',
    '}',
  ];
}

/** An address is listened on, a name may be on any of the host's. */
const listenAddress = ({ host }: ServerAddress): string => (isIP(host) === 0 ? '0.0.0.0' : host);

export const bracketed = (host: string): string => (isIP(host) === 6 ? `[${host}]` : host);
