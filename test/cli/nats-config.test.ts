import { spawnSync } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { jetStreamArbiter } from '../../shared/arbiter/jetstream-arbiter.ts';
import { auditTerms } from '../../shared/arbiter/term-audit.ts';
import { ensureStream } from '../../shared/arbiter/term-stream.ts';
import { isUnderstudyError, type UnderstudyError } from '../../shared/errors.ts';
import type { GuestName } from '../../shared/ids.ts';
import { connectNats } from '../../shared/transport/nats-transport.ts';
import { subjectsOf } from '../../shared/transport/subjects.ts';
import type { Transport } from '../../shared/transport/transport.ts';
import { exampleRecord } from '../shared/arbiter/term-example.ts';
import { type SecureServers, serverFile, startSecureServers } from './secure-servers.ts';

const own = 'lab' as GuestName;
const other = 'lab-2' as GuestName;
const bytes = Uint8Array.of(1);

async function joined(t: ExecutionContext, servers: SecureServers, guest: string, host: string) {
  const warnings: UnderstudyError[] = [];
  const onWarning = (warning: UnderstudyError) => warnings.push(warning);
  const settings = servers.settings(guest, host);
  const transport = await connectNats(settings, { deadlineMs: 120_000, onWarning });
  t.teardown(() => transport.close());
  return { transport, warnings };
}

test('an agent can neither hear, nor speak, nor claim for another guest', async (t) => {
  const servers = await startSecureServers(t, ['lab@east', 'lab@west', 'lab-2@east']);
  const { transport: mine, warnings } = await joined(t, servers, own, 'east');
  const { transport: theirs } = await joined(t, servers, other, 'east');
  await ensureStream(theirs, { replicas: 1, answerMs: 5000 });
  const patient = { answerMs: 5000 };
  const arbiter = jetStreamArbiter(theirs, { guest: other, ...patient });
  const first = { ...exampleRecord(1, 'east'), guest: other };
  t.true((await arbiter.create(first)).won);

  const heard: string[] = [];
  const subjects = subjectsOf(other);
  const secret = [subjects.data, subjects.controlToBackup, `${subjects.inbox}.x`];
  for (const subject of [...secret, 'understudy.>', '_INBOX.>', '>']) {
    mine.subscribe(subject, () => heard.push(subject));
  }
  const answered: string[] = [];
  for (const subject of secret) theirs.subscribe(subject, () => answered.push(subject));
  await Promise.all([mine.flush(), theirs.flush()]);
  for (const subject of secret) mine.publish(subject, bytes);
  await mine.flush();
  t.deepEqual(answered, [], 'nothing of it was delivered');
  for (const subject of secret) theirs.publish(subject, bytes);
  await theirs.flush();
  await until(() => answered.length === secret.length, 'what they say to themselves');
  await mine.flush();
  t.deepEqual(heard, []);
  t.true(warnings.length >= 2 * secret.length + 3, String(warnings.length));
  t.true(warnings.every(({ code }) => code === 'E_NATS_PERMISSION'));

  const claim = jetStreamArbiter(mine, { guest: other, answerMs: 5000, attemptsMax: 1 });
  const second = { ...exampleRecord(2, 'east'), guest: other };
  await claim.latest();
  const refused = await t.throwsAsync(claim.create(second));
  t.true(isUnderstudyError(refused), String(refused));
  t.deepEqual(await arbiter.latest(), first);
  for (const verb of ['DELETE', 'PURGE', 'UPDATE', 'MSG.DELETE']) {
    const asked = mine.request(`$JS.API.STREAM.${verb}.UNDERSTUDY_TERMS`, bytes, 300);
    t.true(isUnderstudyError(await t.throwsAsync(asked)), verb);
  }
  t.is(await auditTerms(theirs, other), 1);
});

test('both hosts of a guest have what primary and backup need, whoever is which', async (t) => {
  const servers = await startSecureServers(t, ['lab@east', 'lab@west']);
  const [east, west] = [
    await joined(t, servers, own, 'east'),
    await joined(t, servers, own, 'west'),
  ];
  await ensureStream(east.transport, { replicas: 1, answerMs: 5000 });
  const arbiters = [east, west].map(({ transport }) =>
    jetStreamArbiter(transport, { guest: own, answerMs: 5000 }),
  );
  t.true((await arbiters[0]!.create(exampleRecord(1, 'east'))).won);
  t.is((await arbiters[1]!.latest())?.term as number, 1);
  t.true((await arbiters[1]!.create(exampleRecord(2, 'west'))).won);
  const subjects = subjectsOf(own);
  for (const [one, peer] of [
    [east.transport, west.transport],
    [west.transport, east.transport],
  ] as [Transport, Transport][]) {
    const told: string[] = [];
    const all = [
      subjects.data,
      subjects.credit,
      subjects.controlToBackup,
      subjects.controlToPrimary,
      subjects.heartbeatOfBackup,
      subjects.heartbeatOfPrimary,
      subjects.echo('x'),
    ];
    const listening = all.map((subject) => peer.subscribe(subject, () => told.push(subject)));
    const question = peer.subscribe('understudy.lab.question', (_, reply) => reply(bytes));
    await peer.flush();
    for (const subject of all) one.publish(subject, bytes);
    await until(() => told.length === all.length, `all subjects, not only ${told}`);
    t.deepEqual([...(await one.request('understudy.lab.question', bytes, 5000))], [1]);
    for (const each of [...listening, question]) each.unsubscribe();
  }
  t.deepEqual([...east.warnings, ...west.warnings], []);
});

test('a key that the server does not know is refused by name, and the file of another guest, too', async (t) => {
  const servers = await startSecureServers(t, ['lab@east']);
  const strange = await startSecureServers(t, ['lab@east']);
  const settings = servers.settings(own, 'east');
  const nkeySeed = strange.settings(own, 'east').nkeySeed!;
  const { nkeySeed: _, ...anonymous } = settings;
  for (const wrong of [{ ...settings, nkeySeed }, anonymous]) {
    const error = await t.throwsAsync(connectNats(wrong, { deadlineMs: 120_000 }));
    t.true(isUnderstudyError(error, 'E_NATS_AUTH'), String(error));
    t.regex(isUnderstudyError(error) ? error.hint : '', /nkey/);
  }
});

test('three servers keep the record when one is killed', async (t) => {
  const servers = await startSecureServers(t, ['lab@east', 'lab@west'], 3);
  t.is(servers.config(own, 'east').arbiter.replicas, 3);
  const { transport } = await joined(t, servers, own, 'east');
  await settled(() => ensureStream(transport, { replicas: 3, answerMs: 5000 }));
  const arbiter = jetStreamArbiter(transport, { guest: own, answerMs: 5000 });
  await settled(() => arbiter.create(exampleRecord(1, 'east')));
  servers.kill(2);
  const second = exampleRecord(2, 'east');
  t.true((await settled(() => arbiter.create(second))).won);
});

test('a guest is added without a new key for those that are there; no file is open to others', async (t) => {
  const servers = await startSecureServers(t, ['lab@east']);
  const { folder } = servers;
  const before = readFileSync(join(folder, 'lab@east.seed'), 'utf8');
  const command = fileURLToPath(new URL('../../../bin/understudy', import.meta.url));
  const more = ['lab@east', 'web@east', '--servers', '[::1]:5000'];
  const { status } = spawnSync(command, ['nats', 'config', folder, ...more]);
  t.is(status, 0);
  t.is(readFileSync(join(folder, 'lab@east.seed'), 'utf8'), before);
  t.regex(serverFile(servers), /web@east/);
  t.notRegex(serverFile(servers), /SU[A-Z2-7]{56}/, 'a server knows public halves only');
  for (const name of ['lab@east.seed', 'east-key.pem', 'ca-key.pem', '127.0.0.1-key.pem']) {
    t.is(statSync(join(folder, name)).mode & 0o077, 0, name);
  }
  for (const wrong of [
    ['lab', '--servers', 'a'],
    ['lab@a', '--servers', 'a,b'],
    ['lab@a@b', '--servers', 'a'],
    ['lab@a', '--servers', 'a b'],
  ]) {
    t.is(spawnSync(command, ['nats', 'config', folder, ...wrong]).status, 2, String(wrong));
  }
});

/** A cluster elects its leaders first. */
async function settled<T>(work: () => Promise<T>): Promise<T> {
  for (const deadline = performance.now() + 120_000; ; ) {
    try {
      return await work();
    } catch (error) {
      if (performance.now() > deadline || !isUnderstudyError(error)) throw error;
      await sleep(100);
    }
  }
}

async function until(holds: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + 120_000;
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`not in time: ${what}`);
    await sleep(20);
  }
}
