import test from 'ava';
import { streamSettings } from '../../../shared/arbiter/stream-settings.ts';
import {
  ensureStream,
  termStream,
  termSubject,
  termSubjects,
} from '../../../shared/arbiter/term-stream.ts';
import { isUnderstudyError, type UnderstudyError } from '../../../shared/errors.ts';
import type { Transport } from '../../../shared/transport/transport.ts';
import { arbiterOn, askPlainly, connectTo, runCommand, startServer } from './arbiter-lab.ts';
import { exampleRecord, guest } from './term-example.ts';

const fit = streamSettings(termStream, termSubjects, 1);
const make = (transport: Transport, settings: object) =>
  askPlainly(transport, `$JS.API.STREAM.CREATE.${termStream}`, JSON.stringify(settings));
const remove = (transport: Transport) =>
  askPlainly(transport, `$JS.API.STREAM.DELETE.${termStream}`, '');

async function refusal(transport: Transport, replicas = 1): Promise<UnderstudyError> {
  try {
    await ensureStream(transport, { replicas, answerMs: 5000 });
  } catch (error) {
    if (isUnderstudyError(error, 'E_ARBITER_STREAM')) return error;
    throw error;
  }
  throw new Error('it was taken');
}

test('a stream that is not there is made, once, also by agents that start together', async (t) => {
  const server = await startServer(t);
  const transports = await Promise.all([1, 2, 3].map(() => connectTo(t, server.url)));
  const reports = await Promise.all(transports.map((each) => ensureStream(each, { replicas: 1 })));
  t.true(reports.some(({ created }) => created));
  const again = await ensureStream(transports[0]!, { replicas: 1 });
  t.deepEqual(again, { created: false, wishes: [], command: null });
});

test('the server itself refuses to change, delete or purge a term', async (t) => {
  const transport = await connectTo(t, (await startServer(t)).url);
  await ensureStream(transport, { replicas: 1 });
  const own = exampleRecord(1, 'east');
  t.true((await arbiterOn(transport).create(own)).won);
  const attempts = [
    [termSubject(guest, 1), '{}'],
    [`$JS.API.STREAM.MSG.DELETE.${termStream}`, '{"seq":1}'],
    [`$JS.API.STREAM.PURGE.${termStream}`, ''],
  ] as const;
  for (const [subject, body] of attempts) {
    t.truthy((await askPlainly(transport, subject, body)).error, subject);
  }
  t.deepEqual(await arbiterOn(transport).latest(), own);
});

test('each setting that could lose a term is named, and the command given mends it', async (t) => {
  const transport = await connectTo(t, (await startServer(t)).url);
  const loose = { ...fit, deny_delete: false, deny_purge: false };
  const old = { ...loose, discard: 'old', discard_new_per_subject: false };
  const cases: [string, object][] = [
    ['max_age', { ...loose, max_age: 3600e9 }],
    ['max_msgs is', { ...loose, max_msgs: 100 }],
    ['max_bytes', { ...loose, max_bytes: 1 << 20 }],
    ['max_msgs_per_subject', old],
    ['max_msg_size', { ...loose, max_msg_size: 100 }],
    ['no_ack', { ...loose, no_ack: true }],
    ['allow_rollup_hdrs', { ...loose, allow_rollup_hdrs: true }],
    ['subjects', { ...loose, subjects: ['understudy._term.other.*'] }],
  ];
  for (const [name, settings] of cases) {
    const made = await make(transport, settings);
    if (made.error !== undefined) t.fail(`${name}: ${JSON.stringify(made.error)}`);
    const error = await refusal(transport);
    t.true(error.message.includes(name), `${name}: ${error.message}`);
    t.is(error.message.split(';').length, 1, `${name} alone: ${error.message}`);
    const command = String(error.fields.command);
    t.true(error.hint.includes(command));
    t.is((await runCommand(transport, command)).error, undefined, name);
    const report = await ensureStream(transport, { replicas: 1 });
    t.deepEqual(report, { created: false, wishes: [], command: null }, name);
    await remove(transport);
  }
});

test('a stream in memory, or one that keeps by interest, has to be made anew', async (t) => {
  const transport = await connectTo(t, (await startServer(t)).url);
  for (const [name, settings] of [
    ['storage is "memory"', { ...fit, storage: 'memory' }],
    ['retention is "interest"', { ...fit, retention: 'interest', discard: 'new' }],
  ] as const) {
    const made = await make(transport, settings);
    if (made.error !== undefined) t.fail(`${name}: ${JSON.stringify(made.error)}`);
    const error = await refusal(transport);
    t.true(error.message.includes(name), error.message);
    t.is((await runCommand(transport, String(error.fields.command))).error, undefined);
    t.true((await ensureStream(transport, { replicas: 1 })).created);
    await remove(transport);
  }
});

test('what is only unwise is a wish, with the command that grants it', async (t) => {
  const server = await startServer(t);
  const [transport, peer] = [await connectTo(t, server.url), await connectTo(t, server.url)];
  await make(transport, { name: termStream, subjects: [termSubjects], storage: 'file' });
  const { created, wishes, command } = await ensureStream(transport, { replicas: 1 });
  t.false(created);
  t.is(wishes.length, 3, wishes.join('; '));
  // It serves all the same: a creation is exclusive by its own condition.
  const arbiters = [arbiterOn(transport), arbiterOn(peer)];
  for (let n = 1; n <= 50; n++) {
    const outcomes = await Promise.all(
      arbiters.map((each, i) => each.create(exampleRecord(n, `agent ${i}`))),
    );
    t.is(outcomes.filter(({ won }) => won).length, 1, `term ${n}`);
  }
  t.is((await runCommand(transport, command ?? '')).error, undefined);
  t.deepEqual((await ensureStream(transport, { replicas: 1 })).wishes, []);
  t.is((await arbiterOn(transport).latest())?.term as number, 50);
});

test('replicas that a single server can not keep are said at the start', async (t) => {
  const transport = await connectTo(t, (await startServer(t)).url);
  const refused = await refusal(transport, 3);
  t.regex(refused.message, /replicas/);
  t.regex(refused.hint, /3 server/);
  await ensureStream(transport, { replicas: 1 });
  t.regex((await refusal(transport, 3)).message, /num_replicas is 1 and must be 3/);
});

test('a stream of somebody else on the same subjects is said at the start', async (t) => {
  const transport = await connectTo(t, (await startServer(t)).url);
  const other = { name: 'OTHER', subjects: ['understudy.>'] };
  await askPlainly(transport, '$JS.API.STREAM.CREATE.OTHER', JSON.stringify(other));
  const error = await refusal(transport);
  t.regex(error.message, /overlap/);
});
