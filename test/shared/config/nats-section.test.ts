import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { toNatsSettings } from '../../../shared/config/nats-section.ts';
import { defaults } from '../../../shared/config/schema.ts';
import { isUnderstudyError } from '../../../shared/errors.ts';
import type { GuestName } from '../../../shared/ids.ts';

const section = defaults('primary', 'lab').nats;
const guest = 'lab' as GuestName;

function temporaryFolder(t: ExecutionContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'understudy-config-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

function writeSecret(folder: string, name: string, text: string, mode = 0o600): string {
  const file = join(folder, name);
  writeFileSync(file, text);
  chmodSync(file, mode);
  return file;
}

test('without secrets nothing but servers, a name and the guest’s own inbox is set', (t) => {
  t.deepEqual(toNatsSettings(section, guest, 'lab primary'), {
    servers: ['nats://127.0.0.1:4222'],
    name: 'lab primary',
    inboxPrefix: 'understudy.lab.inbox',
    // A cluster could name a server of another host, in clear.
    listedServersOnly: true,
  });
});

test('secrets come from their files, without the line break at the end', (t) => {
  const folder = temporaryFolder(t);
  const passwordFile = writeSecret(folder, 'password', ' two words \n');
  const tls = { caFile: '/ca.pem', certFile: null, keyFile: null };
  const settings = toNatsSettings({ ...section, user: 'me', passwordFile, tls }, guest, 'n');
  t.is(settings.user, 'me');
  t.is(settings.password, ' two words ');
  t.deepEqual(settings.tls, { caFile: '/ca.pem' });
  t.is(settings.listedServersOnly, undefined);
  const tokenFile = writeSecret(folder, 'token', 'token');
  t.is(toNatsSettings({ ...section, tokenFile }, guest, 'n').token, 'token');
  const seed = `SU${'A2'.repeat(28)}`;
  const nkeySeedFile = writeSecret(folder, 'seed', `-----BEGIN-----\n${seed}\n-----END-----\n`);
  t.is(toNatsSettings({ ...section, nkeySeedFile }, guest, 'n').nkeySeed, seed);
});

test('encryption is demanded where a key is set or a server is tls://, and never where it is off', (t) => {
  const of = (servers: string[], tls: typeof section.tls) =>
    toNatsSettings({ ...section, servers, tls }, guest, 'n');
  t.deepEqual(of(['nats://far', 'tls://near'], section.tls).tls, {});
  t.deepEqual(of(['nats://far'], { ...(section.tls as object), caFile: '/c' } as never).tls, {
    caFile: '/c',
  });
  const off = of(['nats://far'], 'off');
  t.is(off.tls, undefined);
  t.is(off.listedServersOnly, undefined);
});

test('a secret that is missing, empty or no seed is refused, and never quoted', (t) => {
  const folder = temporaryFolder(t);
  const empty = writeSecret(folder, 'empty', '');
  for (const tokenFile of [join(folder, 'none'), empty]) {
    const error = t.throws(() => toNatsSettings({ ...section, tokenFile }, guest, 'n'));
    t.true(isUnderstudyError(error, 'E_CONFIG_SECRET'));
    t.true(error?.message.includes(tokenFile));
  }
  const nkeySeedFile = writeSecret(folder, 'seed', 'hunter2');
  const error = t.throws(() => toNatsSettings({ ...section, nkeySeedFile }, guest, 'n'));
  t.true(isUnderstudyError(error, 'E_CONFIG_SECRET'));
  t.notRegex(`${error?.message}`, /hunter2/);
});

test('a secret that other users can read or replace is refused, with the command that mends it', (t) => {
  const folder = temporaryFolder(t);
  const keys = ['tokenFile', 'nkeySeedFile', 'credentialsFile'] as const;
  for (const key of keys) {
    for (const mode of [0o644, 0o604, 0o602, 0o620]) {
      const file = writeSecret(folder, 'secret', `SU${'A2'.repeat(28)}`, mode);
      const error = t.throws(() => toNatsSettings({ ...section, [key]: file }, guest, 'n'));
      t.true(isUnderstudyError(error, 'E_CONFIG_SECRET'), key);
      t.is(isUnderstudyError(error) ? error.hint : '', `chmod 600 ${file}`);
    }
    const file = writeSecret(folder, 'secret', `SU${'A2'.repeat(28)}`, 0o640);
    t.notThrows(() => toNatsSettings({ ...section, [key]: file }, guest, 'n'));
  }
  const keyFile = writeSecret(folder, 'key.pem', 'x', 0o644);
  const tls = { caFile: null, certFile: '/c', keyFile };
  const error = t.throws(() => toNatsSettings({ ...section, tls }, guest, 'n'));
  t.true(isUnderstudyError(error, 'E_CONFIG_SECRET'), String(error));
});
