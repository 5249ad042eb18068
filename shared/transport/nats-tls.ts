import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { connect as connectSocket, isIP, type Socket } from 'node:net';
import { checkServerIdentity, connect as connectTls, type PeerCertificate } from 'node:tls';
import { bounds } from '../bounds.ts';
import { systemCode, UnderstudyError } from '../errors.ts';

/** PEM files; they are read again at each connection, so that a renewed one is found. */
export interface TlsFiles {
  readonly caFile?: string;
  readonly certFile?: string;
  readonly keyFile?: string;
}

const dayMs = 86_400_000;

/**
 * Looks at the files before anybody is asked: what is wrong here, the server could only refuse
 * without a reason. Returns a warning where the certificate ends soon. Throws `E_NATS_SETTINGS`
 * (can't be read), `E_NATS_CERTIFICATE` (no certificate, expired, another key).
 */
export async function checkTlsFiles(
  files: TlsFiles,
  nowMs: number = Date.now(),
): Promise<UnderstudyError | undefined> {
  const { caFile, certFile, keyFile } = files;
  if (caFile !== undefined) await readCertificate(caFile);
  if (certFile === undefined) return undefined;
  const certificate = await readCertificate(certFile);
  const endsMs = Date.parse(certificate.validTo);
  if (endsMs <= nowMs) {
    throw badCertificate(certFile, `expired on ${certificate.validTo}`, renewHint);
  }
  if (keyFile !== undefined) {
    const key = await readPrivateKey(keyFile);
    if (!certificate.checkPrivateKey(key)) {
      const hint = 'Name the key that it was made with as nats.tls.keyFile.';
      throw badCertificate(certFile, `is not for the key in ${keyFile}`, hint);
    }
  }
  if (endsMs - nowMs > bounds.certificateWarningDays * dayMs) return undefined;
  return badCertificate(certFile, `expires on ${certificate.validTo}`, renewHint);
}

/**
 * Node checks a server's certificate against `localhost` where the client dials an address: such
 * a certificate must be for one of the addresses that the servers are listed by.
 */
export function identityCheck(servers: readonly string[]) {
  const hosts = servers.map((server) => hostAndPort(server).host);
  const addresses = hosts.filter((host) => isIP(host) !== 0);
  const isNamed = hosts.includes('localhost') || addresses.length === 0;
  const local = isNamed ? ['localhost', ...addresses] : addresses;
  return (host: string, certificate: PeerCertificate): Error | undefined => {
    const names = host === 'localhost' ? local : [host];
    const faults = names.map((name) => checkServerIdentity(name, certificate));
    return faults.includes(undefined) ? undefined : faults[0];
  };
}

/**
 * What TLS says where the client only says that time was up: a server that refuses our
 * certificate does so after the handshake, in a word that the client passes over. Undefined where
 * nothing is wrong, or it can't be told.
 */
export async function probeTls(server: string, files: TlsFiles): Promise<unknown> {
  const { host, port } = hostAndPort(server);
  const pem = async (file: string | undefined) => file && (await readSetting(file));
  const [ca, cert, key] = [
    await pem(files.caFile),
    await pem(files.certFile),
    await pem(files.keyFile),
  ];
  return await new Promise((resolve) => {
    let last: Socket = connectSocket(port, host);
    const plain = last;
    const settle = (found: unknown) => {
      clearTimeout(timer);
      resolve(found);
      last.destroy();
      plain.destroy();
    };
    const timer = setTimeout(() => settle(undefined), bounds.connectAttemptMs);
    plain.once('error', settle);
    // The server says INFO first, in clear.
    plain.once('data', () => {
      plain.removeAllListeners();
      const options = {
        socket: plain,
        ...(isIP(host) === 0 ? { servername: host } : {}),
        checkServerIdentity: () => undefined,
        ...(ca ? { ca } : {}),
        ...(cert ? { cert } : {}),
        ...(key ? { key } : {}),
      };
      const secured = connectTls(options);
      last = secured;
      secured.once('error', settle);
      // It may refuse after what looks like success, and says nothing else before we do.
      secured.write('PING\r\n');
      secured.once('data', () => settle(undefined));
      secured.once('close', () => settle(undefined));
    });
  });
}

/** Throws `E_NATS_SETTINGS`. */
export async function readSetting(file: string): Promise<Buffer> {
  try {
    return await readFile(file);
  } catch (error) {
    const message = `cannot read ${file}: ${systemCode(error) ?? String(error)}`;
    throw new UnderstudyError('E_NATS_SETTINGS', message, {
      hint: 'Check the path and the rights of the file that the nats section names.',
      fields: { file },
      cause: error,
    });
  }
}

const renewHint = 'Renew it; or this host’s clock is wrong. A new file is read without a restart.';

async function readCertificate(file: string): Promise<X509Certificate> {
  const pem = await readSetting(file);
  try {
    return new X509Certificate(pem);
  } catch (cause) {
    throw badCertificate(file, 'holds no certificate', 'It has to be a PEM file.', cause);
  }
}

async function readPrivateKey(file: string) {
  const pem = await readSetting(file);
  try {
    return createPrivateKey(pem);
  } catch (cause) {
    const hint = 'It has to be a PEM file, without a passphrase.';
    throw badCertificate(file, 'holds no private key', hint, cause);
  }
}

function badCertificate(file: string, what: string, hint: string, cause?: unknown) {
  return new UnderstudyError('E_NATS_CERTIFICATE', `${file} ${what}`, {
    hint,
    fields: { file },
    ...(cause === undefined ? {} : { cause }),
  });
}

function hostAndPort(server: string): { readonly host: string; readonly port: number } {
  const [, host = '', port = '4222'] =
    /^(?:[a-z]+:\/\/)?(\[[^\]]*\]|[^:]*)(?::(\d+))?$/.exec(server) ?? [];
  return { host: host.replace(/^\[|\]$/g, ''), port: Number(port) };
}
