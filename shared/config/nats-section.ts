import { readFileSync } from 'node:fs';
import { systemCode, UnderstudyError } from '../errors.ts';
import type { NatsSettings } from '../transport/nats-transport.ts';
import type { PrimaryConfig } from './schema.ts';

/**
 * How to reach NATS, as the transport takes it; `name` is what the server shows the connection
 * as. Reads the files that hold secrets: throws `E_CONFIG_SECRET`.
 */
export function toNatsSettings(section: PrimaryConfig['nats'], name: string): NatsSettings {
  const { servers, user, passwordFile, tokenFile, credentialsFile } = section;
  const { caFile, certFile, keyFile } = section.tls;
  const tls = {
    ...(caFile === null ? {} : { caFile }),
    ...(certFile === null ? {} : { certFile }),
    ...(keyFile === null ? {} : { keyFile }),
  };
  return {
    servers,
    name,
    ...(user === null ? {} : { user }),
    ...(passwordFile === null ? {} : { password: readSecret(passwordFile) }),
    ...(tokenFile === null ? {} : { token: readSecret(tokenFile) }),
    ...(credentialsFile === null ? {} : { credentialsFile }),
    ...(Object.keys(tls).length > 0 ? { tls } : {}),
  };
}

function readSecret(file: string): string {
  let secret: string;
  try {
    secret = readFileSync(file, 'utf8').replace(/\r?\n$/, '');
  } catch (cause) {
    throw secretError(file, `can't be read (${systemCode(cause) ?? 'unknown error'})`, cause);
  }
  if (secret === '') throw secretError(file, 'is empty', undefined);
  return secret;
}

function secretError(file: string, what: string, cause: unknown): UnderstudyError {
  return new UnderstudyError('E_CONFIG_SECRET', `the secret in ${file} ${what}`, {
    hint: 'it has to be a file with the secret on its one line, readable for this user',
    fields: { file },
    cause,
  });
}
