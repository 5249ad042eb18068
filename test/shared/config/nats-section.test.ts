import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { toNatsSettings } from '../../../shared/config/nats-section.ts';
import { defaults } from '../../../shared/config/schema.ts';
import { isUnderstudyError } from '../../../shared/errors.ts';

const section = defaults('primary', 'lab').nats;

test('without secrets nothing but servers and a name is set', (t) => {
  t.deepEqual(toNatsSettings(section, 'lab primary'), {
    servers: ['nats://127.0.0.1:4222'],
    name: 'lab primary',
  });
});

test('secrets come from their files, without the line break at the end', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'understudy-config-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const passwordFile = join(folder, 'password');
  writeFileSync(passwordFile, ' two words \n');
  const tls = { caFile: '/ca.pem', certFile: null, keyFile: null };
  const settings = toNatsSettings({ ...section, user: 'me', passwordFile, tls }, 'n');
  t.is(settings.user, 'me');
  t.is(settings.password, ' two words ');
  t.deepEqual(settings.tls, { caFile: '/ca.pem' });
  writeFileSync(passwordFile, 'token');
  t.is(toNatsSettings({ ...section, tokenFile: passwordFile }, 'n').token, 'token');
});

test('a secret that is missing or empty is refused, and never quoted', (t) => {
  for (const tokenFile of ['/no/such/file', '/dev/null']) {
    const error = t.throws(() => toNatsSettings({ ...section, tokenFile }, 'n'));
    t.true(isUnderstudyError(error, 'E_CONFIG_SECRET'));
    t.true(error?.message.includes(tokenFile));
  }
});
