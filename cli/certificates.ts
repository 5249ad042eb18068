import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { UnderstudyError } from '../shared/errors.ts';

/** Paths of what belongs to one name, or of the authority (`ca`). */
export const certificateFiles = (folder: string, name: string) => ({
  certFile: join(folder, `${name}.pem`),
  keyFile: join(folder, `${name}-key.pem`),
});

const authority = 'ca';
const authorityDays = 3650;
const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

/**
 * Certificates of an authority of one's own, made by openssl: `ca.pem`, and `NAME.pem` for each
 * name, good for a server and for a client of that name or address; each with its `-key.pem`,
 * readable for this user alone. What is there is kept. Returns the files that were made. Throws
 * `E_CERTIFICATE_TOOL`.
 */
export function makeCertificates(folder: string, names: readonly string[], days: number): string[] {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const made: string[] = [];
  const ca = certificateFiles(folder, authority);
  if (!existsSync(ca.certFile)) {
    openssl([
      ...['req', '-x509', ...curve, '-keyout', ca.keyFile, '-out', ca.certFile],
      ...['-days', String(authorityDays), '-subj', '/CN=Understudy authority'],
      ...['-addext', 'keyUsage=critical,keyCertSign,cRLSign'],
    ]);
    chmodSync(ca.keyFile, 0o600);
    made.push(ca.certFile, ca.keyFile);
  }
  for (const name of names) {
    const { certFile, keyFile } = certificateFiles(folder, name);
    if (existsSync(certFile)) continue;
    sign(name, days, ca, { certFile, keyFile });
    made.push(certFile, keyFile);
  }
  return made;
}

type Files = ReturnType<typeof certificateFiles>;

function sign(name: string, days: number, ca: Files, { certFile, keyFile }: Files): void {
  const scratch = mkdtempSync(join(tmpdir(), 'understudy-certificate-'));
  try {
    const request = join(scratch, 'request.pem');
    const extensions = join(scratch, 'extensions');
    const kind = isIP(name) === 0 ? 'DNS' : 'IP';
    writeFileSync(
      extensions,
      `subjectAltName=${kind}:${name}\nextendedKeyUsage=serverAuth,clientAuth\n`,
    );
    openssl(['req', '-new', ...curve, '-keyout', keyFile, '-out', request, '-subj', `/CN=${name}`]);
    chmodSync(keyFile, 0o600);
    openssl([
      ...['x509', '-req', '-in', request, '-CA', ca.certFile, '-CAkey', ca.keyFile],
      ...['-CAserial', join(scratch, 'serial'), '-CAcreateserial', '-days', String(days)],
      ...['-extfile', extensions, '-out', certFile],
    ]);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

function openssl(args: readonly string[]): void {
  const { status, stderr, error } = spawnSync('openssl', args, { encoding: 'utf8' });
  if (status === 0) return;
  const why = error?.message ?? stderr.trim().split('\n').slice(-2).join(' ');
  throw new UnderstudyError('E_CERTIFICATE_TOOL', `openssl ${args[0]} failed: ${why}`, {
    hint: 'apt-get install openssl; the folder has to be one that this user may write to.',
    cause: error,
  });
}
