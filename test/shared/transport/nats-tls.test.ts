import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { certificateFiles, makeCertificates } from '../../../cli/certificates.ts';
import { isUnderstudyError, type UnderstudyError } from '../../../shared/errors.ts';
import { EmbeddedServer } from '../../../shared/transport/embedded-server.ts';
import { checkTlsFiles, type TlsFiles } from '../../../shared/transport/nats-tls.ts';
import { connectNats, type NatsSettings } from '../../../shared/transport/nats-transport.ts';

const address = '127.0.0.1';
/** Enough for an attempt on a busy machine: one that does not end is no fault of a certificate. */
const deadlineMs = 5000;
const folder = mkdtempSync(join(tmpdir(), 'understudy-test-tls-'));
const strange = join(folder, 'strange');
const caFile = join(folder, 'ca.pem');
makeCertificates(folder, [address, 'client', 'elsewhere.example'], 30);
makeCertificates(folder, ['expired'], -1);
makeCertificates(strange, ['client'], 30);
const client: TlsFiles = { caFile, ...certificateFiles(folder, 'client') };
test.after.always(() => rmSync(folder, { recursive: true, force: true }));

async function startServer(t: ExecutionContext, name = address, verify = true, port?: number) {
  const { certFile, keyFile } = certificateFiles(folder, name);
  const files = `cert_file: "${certFile}", key_file: "${keyFile}", ca_file: "${caFile}"`;
  const server = await EmbeddedServer.start({
    jetStream: false,
    extraConfig: [`tls { ${files}, verify: ${verify} }`],
    ...(port === undefined ? {} : { port }),
  });
  t.teardown(() => server.stop());
  return server;
}

const settings = (server: EmbeddedServer, tls?: TlsFiles): NatsSettings => ({
  ...{ servers: [server.url], name: 'test' },
  ...(tls === undefined ? {} : { tls }),
});

/** What a connection is refused with, and the warnings before it. */
async function refusal(t: ExecutionContext, of: NatsSettings) {
  const warnings: string[] = [];
  const onWarning = ({ code }: UnderstudyError) => warnings.push(code);
  const error = await t.throwsAsync(connectNats(of, { deadlineMs, onWarning }));
  if (!isUnderstudyError(error)) throw error;
  return { error, warnings };
}

test('over mutual TLS an agent speaks with a server that is known by its address', async (t) => {
  const server = await startServer(t);
  const transport = await connectNats(settings(server, client));
  t.teardown(() => transport.close());
  transport.subscribe('double', (payload, reply) => reply(Uint8Array.of(payload[0]! * 2)));
  t.deepEqual([...(await transport.request('double', Uint8Array.of(4), 5000))], [8]);
});

test('each fault of a certificate has its words, at once and after the deadline', async (t) => {
  const [server, expired, elsewhere] = await Promise.all([
    startServer(t),
    startServer(t, 'expired'),
    startServer(t, 'elsewhere.example'),
  ]);
  const cases: [string, EmbeddedServer, TlsFiles, RegExp, RegExp][] = [
    [
      'another authority',
      server,
      { ...client, caFile: join(strange, 'ca.pem') },
      /not of an authority trusted here/,
      /caFile/,
    ],
    ['authorities of the system', server, {}, /not of an authority trusted here/, /caFile/],
    ['a server whose certificate expired', expired, client, /server's .*has expired/, /Renew/],
    ['a server of another name', elsewhere, client, /for another name/, /nats\.servers/],
    ['no certificate of our own', server, { caFile }, /wants a certificate of this/, /certFile/],
    [
      'a certificate of a strange authority',
      server,
      { caFile, ...certificateFiles(strange, 'client') },
      /refuses this agent's certificate/,
      /certFile/,
    ],
  ];
  const judged = cases.map(async ([what, at, tls, words, hint]) => {
    const { error, warnings } = await refusal(t, settings(at, tls));
    t.is(error.code, 'E_NATS_TLS', `${what}: ${error.message}`);
    t.regex(error.message, words, what);
    t.regex(error.hint, hint, what);
    t.true(warnings.every((code) => code === 'E_NATS_TLS') && warnings.length <= 1, what);
  });
  await Promise.all(judged);
});

test('a server without encryption gets no word where encryption is demanded', async (t) => {
  const server = await EmbeddedServer.start({ jetStream: false });
  t.teardown(() => server.stop());
  const { error } = await refusal(t, settings(server, { caFile }));
  t.is(error.code, 'E_NATS_TLS');
  t.regex(error.message, /does not offer encryption/);
  t.regex(error.hint, /tls: off/);
});

test('our own certificate is looked at before anybody is asked', async (t) => {
  const refused = async (files: TlsFiles) => {
    const error = await t.throwsAsync(checkTlsFiles(files));
    return isUnderstudyError(error) ? `${error.code} ${error.message}` : error;
  };
  const garbage = join(folder, 'garbage.pem');
  writeFileSync(garbage, 'none');
  const { certFile, keyFile } = certificateFiles(folder, 'client');
  const expired = certificateFiles(folder, 'expired');
  t.regex(String(await refused(expired)), /^E_NATS_CERTIFICATE .*expired\.pem expired on /);
  t.regex(
    String(await refused({ certFile: certFile, keyFile: expired.keyFile })),
    /^E_NATS_CERTIFICATE .*client\.pem is not for the key in .*expired-key\.pem/,
  );
  t.regex(String(await refused({ caFile: garbage })), /^E_NATS_CERTIFICATE .*no certificate/);
  t.regex(String(await refused({ certFile, keyFile: garbage })), /no private key/);
  t.regex(String(await refused({ caFile: '/no/such' })), /^E_NATS_SETTINGS /);
  t.is(await checkTlsFiles({ certFile, keyFile, caFile }), undefined);
  const soonMs = Date.now() + 20 * 86_400_000;
  const soon = await checkTlsFiles({ certFile, keyFile }, soonMs);
  t.regex(soon?.message ?? '', /client\.pem expires on /);
});

test('a certificate that expired while a connection was away is told, and a renewed one is taken', async (t) => {
  const first = await startServer(t);
  const warnings: UnderstudyError[] = [];
  const onWarning = (warning: UnderstudyError) => warnings.push(warning);
  const transport = await connectNats(settings(first, client), { onWarning });
  t.teardown(() => transport.close());
  const { port } = first;
  await first.stop();
  const second = await startServer(t, 'expired', true, port);
  await until(() => warnings.length > 0, 'the warning');
  t.is(warnings[0]!.code, 'E_NATS_TLS');
  t.regex(warnings[0]!.message, /has expired/);
  await second.stop();
  await startServer(t, address, true, port);
  await until(() => transport.connected, 'the connection');
  t.is(warnings.filter(({ code }) => code === 'E_NATS_TLS').length, 1, 'told once');
});

async function until(holds: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + 120_000;
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`not in time: ${what}`);
    await sleep(20);
  }
}
