import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { openClaims } from '../../../shared/arbiter/open-claims.ts';
import { streamSettings } from '../../../shared/arbiter/stream-settings.ts';
import { encodeTermRecord, type TermRecord } from '../../../shared/arbiter/term-record.ts';
import { termStream, termSubject, termSubjects } from '../../../shared/arbiter/term-stream.ts';
import { isUnderstudyError, type UnderstudyError } from '../../../shared/errors.ts';
import { epoch } from '../../../shared/ids.ts';
import { EmbeddedServer } from '../../../shared/transport/embedded-server.ts';
import type { Transport } from '../../../shared/transport/transport.ts';
import { askPlainly, connectTo, runCommand, startServer, temporaryFolder } from './arbiter-lab.ts';
import { exampleRecord, guest } from './term-example.ts';

/** Everything by which a stream keeps hands off terms left out, so that hands can be tried. */
const loose = {
  ...streamSettings(termStream, termSubjects, 1),
  ...{ deny_delete: false, deny_purge: false },
};
const make = (transport: Transport, settings: object = loose) =>
  askPlainly(transport, `$JS.API.STREAM.CREATE.${termStream}`, JSON.stringify(settings));
const store = (transport: Transport, number: number, text: string) =>
  askPlainly(transport, termSubject(guest, number), text);
const text = (record: TermRecord) => new TextDecoder().decode(encodeTermRecord(record));

async function opened(t: ExecutionContext, server: EmbeddedServer, folder = temporaryFolder(t)) {
  const warnings: UnderstudyError[] = [];
  const { claims, host } = await openClaims({
    ...{ transport: await connectTo(t, server.url), guest, stateFolder: folder, replicas: 1 },
    ...{ patienceMs: 0, signal: new AbortController().signal },
    onWarning: (warning) => warnings.push(warning),
  });
  return { claims, host, warnings };
}

async function refusal(t: ExecutionContext, server: EmbeddedServer): Promise<UnderstudyError> {
  const error = await t.throwsAsync(opened(t, server));
  if (!isUnderstudyError(error)) throw error;
  return error;
}

const solo = (mayFollow: (latest: TermRecord | null) => boolean = () => true) => ({
  ...{ mode: 'solo' as const, session: null, baseEpoch: epoch(0), mayFollow },
});

test('a NATS without JetStream is told as that, at the start', async (t) => {
  const error = await refusal(t, await startServer(t, { jetStream: false }));
  t.is(error.code, 'E_ARBITER_AWAY');
  t.regex(error.message, /JetStream is not switched on/);
  t.regex(error.hint, /Start NATS with JetStream/);
});

test('an agent that starts before JetStream is there waits for it, and says so once', async (t) => {
  const folder = temporaryFolder(t);
  const early = await EmbeddedServer.start({ jetStream: false });
  t.teardown(() => early.stop());
  const warnings: UnderstudyError[] = [];
  const transport = await connectTo(t, early.url);
  const opening = openClaims({
    ...{ transport, guest, stateFolder: folder, replicas: 1, patienceMs: 120_000 },
    signal: new AbortController().signal,
    onWarning: (warning) => warnings.push(warning),
  });
  opening.catch(() => {});
  const deadline = performance.now() + 60_000;
  while (warnings.length === 0 && performance.now() < deadline) await sleep(20);
  await early.stop();
  await startServer(t, { port: early.port });
  const { claims } = await opening;
  t.is(await claims.peek(), null);
  t.deepEqual(
    warnings.map(({ code }) => code),
    ['E_ARBITER_AWAY'],
  );
});

test('a stream in which terms can be lost is refused at the start, one that is unwise is told', async (t) => {
  const server = await startServer(t);
  const transport = await connectTo(t, server.url);
  await make(transport, { ...loose, max_age: 3600e9 });
  const unfit = await refusal(t, server);
  t.is(unfit.code, 'E_ARBITER_STREAM');
  t.regex(unfit.message, /max_age is 3600000000000 and must be unlimited/);
  t.is((await runCommand(transport, String(unfit.fields.command))).error, undefined);
  t.deepEqual((await opened(t, server)).warnings, []);
  await askPlainly(transport, `$JS.API.STREAM.DELETE.${termStream}`, '');
  await make(transport);
  const { warnings } = await opened(t, server);
  t.deepEqual(
    warnings.map(({ code }) => code),
    ['E_ARBITER_LOOSE'],
  );
  const { command } = warnings[0]!.fields;
  t.true(warnings[0]!.hint.includes(String(command)));
  t.is((await runCommand(transport, String(command))).error, undefined);
  t.deepEqual((await opened(t, server)).warnings, []);
});

test('a record that is missing, of another version, or edited is told at the start', async (t) => {
  const good = text(exampleRecord(2, 'east'));
  const cases: [string, string, RegExp][] = [
    ['another version', good.replace('"version":1', '"version":2'), /version 2.*knows 1/],
    ['another holder', good.replace(/"holder":"./, '"holder":"f'), /it was edited/],
    ['no JSON', 'term 2', /not JSON/],
  ];
  for (const [what, stored, words] of cases) {
    const server = await startServer(t);
    const transport = await connectTo(t, server.url);
    await make(transport);
    await store(transport, 1, text(exampleRecord(1, 'east')));
    await store(transport, 2, stored);
    const error = await refusal(t, server);
    t.is(error.code, 'E_TERM_RECORD', what);
    t.regex(error.message, words);
    t.is((await askPlainly(transport, msgDelete, '{"seq":2}')).error, undefined);
    await t.notThrowsAsync(opened(t, server), `${what}: without it the agent starts`);
    await store(transport, 3, text(exampleRecord(3, 'east')));
    t.regex((await refusal(t, server)).message, /term 2 of lab: is missing, and 3 is there/);
  }
});
const msgDelete = `$JS.API.STREAM.MSG.DELETE.${termStream}`;

test('a record that goes bad while an agent runs is waited for, told once, and nothing is lost', async (t) => {
  const server = await startServer(t);
  const transport = await connectTo(t, server.url);
  await make(transport);
  const { claims, host, warnings } = await opened(t, server);
  warnings.length = 0;
  const { signal } = new AbortController();
  const first = await claims.claim(solo(), signal);
  t.true(first.won);

  // Somebody writes a term by hand; the operator removes it.
  await store(transport, 2, 'by hand');
  const second = claims.claim(solo(), signal);
  await until(() => warnings.length > 0, 'the warning');
  await sleep(600);
  t.deepEqual(
    warnings.map(({ code }) => code),
    ['E_TERM_RECORD'],
    'told once',
  );
  t.is((await askPlainly(transport, msgDelete, '{"seq":2}')).error, undefined);
  t.like(await second, { won: true, term: 2 });

  // Somebody removes the stream; made anew it is empty; the operator restores what was in it.
  const records = await Promise.all(
    [1, 3].map(async (seq) => {
      const answer = await askPlainly(transport, msgGet, JSON.stringify({ seq }));
      return Buffer.from((answer.message as { data: string }).data, 'base64').toString();
    }),
  );
  await askPlainly(transport, `$JS.API.STREAM.DELETE.${termStream}`, '');
  const third = claims.claim(solo(), signal);
  await until(() => warnings.length > 1, 'the missing stream');
  await make(transport);
  await until(() => warnings.length > 2, 'the empty stream');
  for (const [index, record] of records.entries()) await store(transport, index + 1, record);
  const outcome = await third;
  t.like(outcome, { won: true, term: 3 });
  t.deepEqual(
    warnings.map(({ code }) => code),
    ['E_TERM_RECORD', 'E_ARBITER_STREAM', 'E_TERM_BACKWARDS'],
  );
  t.is(claims.highest as number, 3);
  t.is((await claims.latest(signal))?.holder, host);
});
const msgGet = `$JS.API.STREAM.MSG.GET.${termStream}`;

test('terms purged while no agent ran are missed by whoever remembers them', async (t) => {
  const server = await startServer(t);
  const transport = await connectTo(t, server.url);
  await make(transport);
  const folder = temporaryFolder(t);
  const before = await opened(t, server, folder);
  t.true((await before.claims.claim(solo(), new AbortController().signal)).won);
  await askPlainly(transport, `$JS.API.STREAM.PURGE.${termStream}`, '');
  const { claims, warnings } = await opened(t, server, folder);
  t.is(claims.highest as number, 1, 'from its own disk');
  const waiting = new AbortController();
  const claim = claims.claim(solo(), waiting.signal);
  await until(() => warnings.some(({ code }) => code === 'E_TERM_BACKWARDS'), 'the warning');
  waiting.abort(new Error('enough'));
  await t.throwsAsync(claim);
  t.is((await askPlainly(transport, `$JS.API.STREAM.INFO.${termStream}`, '')).error, undefined);
});

async function until(holds: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + 120_000;
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`not in time: ${what}`);
    await sleep(20);
  }
}
