import { readFileSync, statSync } from 'node:fs';
import { systemCode, UnderstudyError } from '../errors.ts';
import type { GuestName } from '../ids.ts';
import type { TlsFiles } from '../transport/nats-tls.ts';
import type { NatsSettings } from '../transport/nats-transport.ts';
import { subjectsOf } from '../transport/subjects.ts';
import { demandsTls } from './nats-encryption.ts';
import type { PrimaryConfig } from './schema.ts';

/**
 * How to reach NATS, as the transport takes it; `name` is what the server shows the connection
 * as. Answers come below the guest's own subjects, so that its user needs no others. Reads the
 * files that hold secrets: throws `E_CONFIG_SECRET`.
 */
export function toNatsSettings(
  section: PrimaryConfig['nats'],
  guest: GuestName,
  name: string,
): NatsSettings {
  const { servers, user, passwordFile, nkeySeedFile, tokenFile, credentialsFile, tls } = section;
  const encrypted = demandsTls(section);
  if (credentialsFile !== null) checkMode(credentialsFile);
  return {
    ...{ servers, name, inboxPrefix: subjectsOf(guest).inbox },
    ...(user === null ? {} : { user }),
    ...(passwordFile === null ? {} : { password: readSecret(passwordFile) }),
    ...(nkeySeedFile === null ? {} : { nkeySeed: readSeed(nkeySeedFile) }),
    ...(tokenFile === null ? {} : { token: readSecret(tokenFile) }),
    ...(credentialsFile === null ? {} : { credentialsFile }),
    ...(encrypted && tls !== 'off' ? { tls: tlsFiles(tls) } : {}),
    ...(encrypted || tls === 'off' ? {} : { listedServersOnly: true }),
  };
}

function tlsFiles({ caFile, certFile, keyFile }: TlsSection): TlsFiles {
  if (keyFile !== null) checkMode(keyFile);
  return {
    ...(caFile === null ? {} : { caFile }),
    ...(certFile === null ? {} : { certFile }),
    ...(keyFile === null ? {} : { keyFile }),
  };
}

type TlsSection = Exclude<PrimaryConfig['nats']['tls'], 'off'>;

/** The one line of a seed; NATS tools write it between markers and advice. */
function readSeed(file: string): string {
  const seed = /^\s*(SU[A-Z2-7]{56})\s*$/m.exec(readSecret(file))?.[1];
  if (seed === undefined) throw secretError(file, "is not the seed of a user's nkey (SU…)");
  return seed;
}

function readSecret(file: string): string {
  checkMode(file);
  let secret: string;
  try {
    secret = readFileSync(file, 'utf8').replace(/\r?\n$/, '');
  } catch (cause) {
    throw unreadable(file, cause);
  }
  if (secret === '') throw secretError(file, 'is empty');
  return secret;
}

/** Others on this host may not read a secret, and nobody but its owner may replace it. */
function checkMode(file: string): void {
  let mode: number;
  try {
    mode = statSync(file).mode;
  } catch (cause) {
    throw unreadable(file, cause);
  }
  const loose = mode & 0o027;
  if (loose === 0) return;
  const who = (loose & 0o007) === 0 ? 'can be replaced by' : 'is open to';
  const shown = (mode & 0o777).toString(8).padStart(4, '0');
  throw secretError(file, `${who} other users (mode ${shown})`, `chmod 600 ${file}`);
}

const unreadable = (file: string, cause: unknown): UnderstudyError =>
  secretError(file, `can't be read (${systemCode(cause) ?? 'unknown error'})`, undefined, cause);

function secretError(
  file: string,
  what: string,
  hint = 'it has to be a file with the secret on its one line, readable for this user alone',
  cause?: unknown,
): UnderstudyError {
  return new UnderstudyError('E_CONFIG_SECRET', `the secret in ${file} ${what}`, {
    hint,
    fields: { file },
    ...(cause === undefined ? {} : { cause }),
  });
}
