import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { jetStreamArbiter } from '../../../shared/arbiter/jetstream-arbiter.ts';
import {
  EmbeddedServer,
  type EmbeddedServerOptions,
} from '../../../shared/transport/embedded-server.ts';
import { connectNats } from '../../../shared/transport/nats-transport.ts';
import type { Transport } from '../../../shared/transport/transport.ts';
import { guest } from './term-example.ts';

/** Patient, because the machine that runs the tests may be busy. */
export const patient = { guest, answerMs: 5000 };

export function temporaryFolder(t: ExecutionContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'understudy-test-arbiter-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export async function startServer(
  t: ExecutionContext,
  options: EmbeddedServerOptions = {},
): Promise<EmbeddedServer> {
  const server = await EmbeddedServer.start(options);
  t.teardown(() => server.stop());
  return server;
}

export async function connectTo(t: ExecutionContext, url: string): Promise<Transport> {
  const transport = await connectNats({ servers: [url], name: 'test' });
  t.teardown(() => transport.close());
  return transport;
}

export const arbiterOn = (transport: Transport) => jetStreamArbiter(transport, patient);

/** Asks JetStream as an operator's tool does, and returns what it says. */
export async function askPlainly(
  transport: Transport,
  subject: string,
  body: string,
): Promise<Record<string, unknown>> {
  const answer = await transport.request(subject, new TextEncoder().encode(body), 60_000);
  return JSON.parse(new TextDecoder().decode(answer)) as Record<string, unknown>;
}

/** Runs `nats request 'SUBJECT' 'BODY'` without that program. */
export async function runCommand(
  transport: Transport,
  command: string,
): Promise<Record<string, unknown>> {
  const match = /^nats request '([^']*)' '([^']*)'$/.exec(command);
  if (match === null) throw new Error(`not a command that a test can run: ${command}`);
  return await askPlainly(transport, match[1]!, match[2]!);
}
