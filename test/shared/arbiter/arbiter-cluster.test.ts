import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import test, { type ExecutionContext } from 'ava';
import type { Arbiter, TermOutcome } from '../../../shared/arbiter/arbiter.ts';
import { auditTerms } from '../../../shared/arbiter/term-audit.ts';
import type { TermRecord } from '../../../shared/arbiter/term-record.ts';
import { ensureStream, termStream } from '../../../shared/arbiter/term-stream.ts';
import { isUnderstudyError } from '../../../shared/errors.ts';
import type { EmbeddedServer } from '../../../shared/transport/embedded-server.ts';
import { arbiterOn, askPlainly, connectTo, startServer } from './arbiter-lab.ts';
import { exampleRecord, guest } from './term-example.ts';

async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  const ports: number[] = [];
  for (const server of servers) {
    if (!server.listening) await once(server, 'listening');
    ports.push((server.address() as AddressInfo).port);
  }
  for (const server of servers) {
    server.close();
    await once(server, 'close');
  }
  return ports;
}

/** By name, as the cluster's own answers have it. */
async function startCluster(t: ExecutionContext): Promise<Map<string, EmbeddedServer>> {
  const ports = await freePorts(3);
  const routes = ports.map((port) => `"nats://127.0.0.1:${port}"`).join(', ');
  const start = async (port: number) => {
    const name = `server-${port}`;
    const cluster = `cluster { name: lab, listen: "127.0.0.1:${port}", routes: [${routes}] }`;
    const server = await startServer(t, { extraConfig: [`server_name: "${name}"`, cluster] });
    return [name, server] as const;
  };
  return new Map(await Promise.all(ports.map(start)));
}

/** What an agent does while the arbiter is away: the same again. */
async function keepCreating(arbiter: Arbiter, record: TermRecord): Promise<TermOutcome> {
  for (const deadline = performance.now() + 120_000; ; ) {
    try {
      return await arbiter.create(record);
    } catch (error) {
      const goOn = isUnderstudyError(error, 'E_ARBITER_AWAY') && performance.now() < deadline;
      if (!goOn) throw error;
    }
  }
}

test('on three servers each term has one winner, and the loss of one, the leader, loses none', async (t) => {
  const servers = await startCluster(t);
  const names = [...servers.keys()];
  const transports = await Promise.all([...servers.values()].map(({ url }) => connectTo(t, url)));
  // A cluster that has just started has no leader for a second or two.
  await ensureStream(transports[0]!, { replicas: 3, attemptsMax: 200 });
  t.is((await ensureStream(transports[1]!, { replicas: 3, attemptsMax: 200 })).created, false);

  const arbiters = transports.map(arbiterOn);
  const races = 60;
  for (let n = 1; n <= races; n++) {
    const records = arbiters.map((_, i) => exampleRecord(n, `agent ${i}`));
    const outcomes = await Promise.all(arbiters.map((each, i) => each.create(records[i]!)));
    const winners = records.filter((_, i) => outcomes[i]!.won);
    t.is(winners.length, 1, `term ${n}`);
    for (const { record } of outcomes) t.deepEqual(record, winners[0]);
  }

  const info = await askPlainly(transports[0]!, `$JS.API.STREAM.INFO.${termStream}`, '');
  const { leader } = info.cluster as { leader: string };
  const dead = names.indexOf(leader);
  process.kill(servers.get(leader)!.pid, 'SIGKILL');
  const left = [0, 1, 2].filter((i) => i !== dead);
  const records = left.map((i) => exampleRecord(races + 1, `agent ${i}`));
  const outcomes = await Promise.all(left.map((i, at) => keepCreating(arbiters[i]!, records[at]!)));
  t.is(outcomes.filter(({ won }) => won).length, 1);
  t.deepEqual(outcomes[0]!.record, outcomes[1]!.record);
  t.is(await auditTerms(transports[left[0]!]!, guest, 30_000), races + 1);
});
