import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { HighestTerm } from '../../../shared/arbiter/highest-term.ts';
import { jetStreamArbiter } from '../../../shared/arbiter/jetstream-arbiter.ts';
import { auditTerms } from '../../../shared/arbiter/term-audit.ts';
import { encodeTermRecord } from '../../../shared/arbiter/term-record.ts';
import { ensureStream, termStream, termSubject } from '../../../shared/arbiter/term-stream.ts';
import { isUnderstudyError } from '../../../shared/errors.ts';
import type { GuestName } from '../../../shared/ids.ts';
import type { Transport } from '../../../shared/transport/transport.ts';
import {
  arbiterOn,
  askPlainly,
  connectTo,
  patient,
  startServer,
  temporaryFolder,
} from './arbiter-lab.ts';
import { LossyTransport } from './lossy-transport.ts';
import { exampleRecord, guest } from './term-example.ts';

const isTerm = (subject: string): boolean => subject.startsWith('understudy._term.');

test('of hundreds of races for a term, each has exactly one winner, and all agree who', async (t) => {
  const server = await startServer(t);
  const names = ['east', 'west', 'north'];
  const transports = await Promise.all(names.map(() => connectTo(t, server.url)));
  await ensureStream(transports[0]!, { replicas: 1 });
  const arbiters = transports.map(arbiterOn);
  t.is(await arbiters[0]!.latest(), null);
  for (let n = 1; n <= 300; n++) {
    const records = names.map((name) => exampleRecord(n, name));
    const outcomes = await Promise.all(arbiters.map((each, i) => each.create(records[i]!)));
    const winners = records.filter((_, i) => outcomes[i]!.won);
    if (winners.length !== 1) t.fail(`term ${n}: ${winners.length} winners`);
    for (const { record } of outcomes) t.deepEqual(record, winners[0]);
  }
  t.is((await arbiters[2]!.latest())?.term as number, 300);
  t.is(await auditTerms(transports[1]!, guest, 30_000), 300);
});

test('two guests have terms of their own, even where one is named like a prefix', async (t) => {
  const transport = await connectTo(t, (await startServer(t)).url);
  await ensureStream(transport, { replicas: 1 });
  const other = `${guest}-2` as GuestName;
  const [one, two] = [
    arbiterOn(transport),
    jetStreamArbiter(transport, { ...patient, guest: other }),
  ];
  t.true((await one.create(exampleRecord(1, 'east'))).won);
  t.is(await two.latest(), null);
  t.true((await two.create({ ...exampleRecord(1, 'east'), guest: other })).won);
  t.true((await one.create(exampleRecord(2, 'east'))).won);
  t.is((await two.latest())?.term as number, 1);
});

test('a lost answer is settled by reading back: won, and stored once', async (t) => {
  const transport = await connectTo(t, (await startServer(t)).url);
  await ensureStream(transport, { replicas: 1 });
  const lossy = new LossyTransport(transport, (subject) =>
    isTerm(subject) ? 'lose-answer' : 'pass',
  );
  const arbiter = arbiterOn(lossy);
  for (let n = 1; n <= 5; n++) {
    const own = exampleRecord(n, 'east');
    t.deepEqual(await arbiter.create(own), { won: true, record: own });
  }
  t.is(await auditTerms(transport, guest, 30_000), 5);
});

test('a lost answer is settled by asking again, also where reading does not answer', async (t) => {
  const transport = await connectTo(t, (await startServer(t)).url);
  await ensureStream(transport, { replicas: 1 });
  let asked = 0;
  const lossy = new LossyTransport(transport, () => (++asked <= 2 ? 'lose-answer' : 'pass'));
  const own = exampleRecord(1, 'east');
  t.deepEqual(await arbiterOn(lossy).create(own), { won: true, record: own });
  t.is(lossy.asked.filter(isTerm).length, 2, 'the second was answered as a duplicate');
  t.is(await auditTerms(transport, guest, 30_000), 1);
});

test('a lost answer of a creation that was lost is settled as lost', async (t) => {
  const transport = await connectTo(t, (await startServer(t)).url);
  await ensureStream(transport, { replicas: 1 });
  const other = exampleRecord(1, 'west');
  t.true((await arbiterOn(transport).create(other)).won);
  const lossy = new LossyTransport(transport, (subject) =>
    isTerm(subject) ? 'lose-answer' : 'pass',
  );
  const own = exampleRecord(1, 'east');
  t.deepEqual(await arbiterOn(lossy).create(own), { won: false, record: other });
});

test('a creation that arrives after it was given up is known as won, or as lost', async (t) => {
  const server = await startServer(t);
  const [transport, peer] = [await connectTo(t, server.url), await connectTo(t, server.url)];
  await ensureStream(transport, { replicas: 1 });
  let fate: 'hold' | 'pass' = 'hold';
  const slow = new LossyTransport(transport, (subject) => (isTerm(subject) ? fate : 'pass'));
  const arbiter = jetStreamArbiter(slow, { ...patient, attemptsMax: 2, retryWaitMs: 1 });
  const west = arbiterOn(peer);

  const first = exampleRecord(1, 'east');
  const away = await t.throwsAsync(arbiter.create(first));
  t.true(isUnderstudyError(away, 'E_ARBITER_AWAY'), String(away));
  t.is(await west.latest(), null, 'nothing is there yet');
  t.is(arbiter.undecided, first);
  await slow.release();
  t.deepEqual(await west.create(exampleRecord(1, 'west')), { won: false, record: first });
  t.deepEqual(await arbiter.create(first), { won: true, record: first });

  const second = exampleRecord(2, 'east');
  await t.throwsAsync(arbiter.create(second));
  const overtaker = exampleRecord(2, 'west');
  t.true((await west.create(overtaker)).won);
  await slow.release();
  fate = 'pass';
  t.deepEqual(await arbiter.create(second), { won: false, record: overtaker });
  t.is(await auditTerms(transport, guest, 30_000), 2);
});

test('a creation that was won unheard, and overtaken since, is not reported as won', async (t) => {
  const server = await startServer(t);
  const [transport, peer] = [await connectTo(t, server.url), await connectTo(t, server.url)];
  await ensureStream(transport, { replicas: 1 });
  let fate: 'lose-answer' | 'pass' = 'lose-answer';
  const deaf = new LossyTransport(transport, () => fate);
  const arbiter = jetStreamArbiter(deaf, { ...patient, attemptsMax: 1 });
  const own = exampleRecord(1, 'east');
  await t.throwsAsync(arbiter.create(own));
  const west = arbiterOn(peer);
  t.deepEqual(await west.latest(), own);
  const higher = exampleRecord(2, 'west');
  t.true((await west.create(higher)).won);
  fate = 'pass';
  t.deepEqual(await arbiter.create(own), { won: false, record: higher });
});

test('a server that is killed and started again knows all terms, and who created them', async (t) => {
  const folder = temporaryFolder(t);
  let server = await startServer(t, { folder });
  const transport = await connectTo(t, server.url);
  await ensureStream(transport, { replicas: 1 });
  const arbiter = arbiterOn(transport);
  const records = [1, 2, 3].map((n) => exampleRecord(n, 'east'));
  for (const record of records) t.true((await arbiter.create(record)).won);

  const { port, pid } = server;
  process.kill(pid, 'SIGKILL');
  await server.stop();
  const hasty = jetStreamArbiter(transport, { guest, answerMs: 50, retryWaitMs: 1 });
  const away = await t.throwsAsync(hasty.latest());
  t.true(isUnderstudyError(away, 'E_ARBITER_AWAY'), String(away));
  server = await startServer(t, { folder, port });
  await back(transport);

  t.deepEqual(await arbiter.latest(), records[2]!);
  const fresh = arbiterOn(await connectTo(t, server.url));
  t.deepEqual(await fresh.create(exampleRecord(1, 'west')), { won: false, record: records[2]! });
  t.true((await arbiter.create(exampleRecord(4, 'east'))).won);
  t.deepEqual((await ensureStream(transport, { replicas: 1 })).created, false);
  t.is(await auditTerms(transport, guest, 30_000), 4);
});

test('a stream that was made anew counts from 1, and an agent that saw more refuses', async (t) => {
  const transport = await connectTo(t, (await startServer(t)).url);
  await ensureStream(transport, { replicas: 1 });
  const path = join(temporaryFolder(t), 'highest-term');
  const highest = await HighestTerm.open(path, guest);
  const arbiter = arbiterOn(transport);
  for (const n of [1, 2])
    await highest.observe((await arbiter.create(exampleRecord(n, 'a'))).record);

  await askPlainly(transport, `$JS.API.STREAM.DELETE.${termStream}`, '');
  const missing = await t.throwsAsync(arbiter.latest());
  t.true(isUnderstudyError(missing, 'E_ARBITER_STREAM'), String(missing));
  const unheard = jetStreamArbiter(transport, { guest, answerMs: 300, retryWaitMs: 1 });
  const lost = await t.throwsAsync(unheard.create(exampleRecord(1, 'a')));
  t.true(isUnderstudyError(lost, 'E_ARBITER_STREAM'), String(lost));

  t.true((await ensureStream(transport, { replicas: 1 })).created);
  const anew = arbiterOn(transport);
  const back = await t.throwsAsync(highest.observe(await anew.latest()));
  t.true(isUnderstudyError(back, 'E_TERM_BACKWARDS'), String(back));
  await anew.create(exampleRecord(1, 'b'));
  const again = await HighestTerm.open(path, guest);
  const still = await t.throwsAsync(again.observe(await anew.latest()));
  t.true(isUnderstudyError(still, 'E_TERM_BACKWARDS'), String(still));
});

test('a record that was written by hand is an error that says what is wrong', async (t) => {
  const transport = await connectTo(t, (await startServer(t)).url);
  await ensureStream(transport, { replicas: 1 });
  const good = new TextDecoder().decode(encodeTermRecord(exampleRecord(1, 'east')));
  const cases: [string, string, RegExp][] = [
    ['g1', 'hello', /not JSON/],
    ['g2', '', /not JSON/],
    ['g3', good.replace('"version":1', '"version":9'), /version 9/],
    ['g4', good, /record of the guest lab/],
  ];
  for (const [name, text, what] of cases) {
    await askPlainly(transport, termSubject(name, 1), text);
    const arbiter = jetStreamArbiter(transport, { ...patient, guest: name as GuestName });
    const error = await t.throwsAsync(arbiter.latest());
    t.true(isUnderstudyError(error, 'E_TERM_RECORD'), String(error));
    t.regex(error?.message ?? '', what);
  }
  await askPlainly(transport, `understudy._term.${guest}.first`, good);
  const error = await t.throwsAsync(arbiterOn(transport).latest());
  t.true(isUnderstudyError(error, 'E_TERM_RECORD'), String(error));
  t.regex(error?.message ?? '', /does not end in the number/);
});

test('terms that hands left with a gap are found at the start', async (t) => {
  const transport = await connectTo(t, (await startServer(t)).url);
  await ensureStream(transport, { replicas: 1 });
  t.is(await auditTerms(transport, guest, 30_000), 0);
  t.true((await arbiterOn(transport).create(exampleRecord(1, 'east'))).won);
  t.is(await auditTerms(transport, guest, 30_000), 1);
  const third = new TextDecoder().decode(encodeTermRecord(exampleRecord(3, 'east')));
  await askPlainly(transport, termSubject(guest, 3), third);
  const error = await t.throwsAsync(auditTerms(transport, guest, 30_000));
  t.true(isUnderstudyError(error, 'E_TERM_RECORD'), String(error));
  t.regex(error?.message ?? '', /term 2 of lab: is missing/);
});

test('a server without JetStream is an arbiter that is away, not an endless wait', async (t) => {
  const transport = await connectTo(t, (await startServer(t, { jetStream: false })).url);
  const ensured = await t.throwsAsync(ensureStream(transport, { replicas: 1 }));
  t.true(isUnderstudyError(ensured, 'E_ARBITER_AWAY'), String(ensured));
  const away = await t.throwsAsync(arbiterOn(transport).create(exampleRecord(1, 'east')));
  t.true(isUnderstudyError(away, 'E_ARBITER_AWAY'), String(away));
  t.regex(isUnderstudyError(away) ? away.hint : '', /JetStream/);
});

async function back(transport: Transport): Promise<void> {
  for (const deadline = performance.now() + 120_000; !transport.connected; ) {
    if (performance.now() > deadline) throw new Error('not connected again in time');
    await sleep(10);
  }
}
