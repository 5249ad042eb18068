import { bounds } from '../bounds.ts';
import { systemCode, UnderstudyError } from '../errors.ts';

/** What NATS, its client and TLS complain about, as typed errors with what to do. */

export function unreachable(servers: readonly string[], cause: unknown): UnderstudyError {
  const why = cause instanceof Error ? cause.message : String(cause);
  const message = `no NATS server answers at ${servers.join(', ')}: ${why}`;
  return new UnderstudyError('E_NATS_UNREACHABLE', message, {
    hint: 'Start nats-server there, or correct nats.servers; a firewall may be in the way.',
    fields: { servers: servers.join(',') },
    cause,
  });
}

export function payloadLimit(payloadBytesMax: number): UnderstudyError {
  const message = `the NATS server takes ${payloadBytesMax} bytes a message, which is too few`;
  return new UnderstudyError('E_NATS_PAYLOAD_LIMIT', message, {
    hint: 'Set max_payload of the server to 2MB; at least 128 KiB are needed.',
    fields: { payloadBytesMax, payloadBytesMin: bounds.payloadBytesMin },
  });
}

export function badSeed(cause: unknown): UnderstudyError {
  return new UnderstudyError('E_NATS_SETTINGS', 'the seed of the nkey is damaged', {
    hint: 'It is the line SU… of the file that nats.nkeySeedFile names: copy it again.',
    cause,
  });
}

/** A complaint of the server or the client, with a code and a hint. */
export function natsWarning(error: Error): UnderstudyError {
  const [code, hint] = classify(error);
  return new UnderstudyError(code, `NATS: ${error.message}`, { hint, cause: error });
}

/** `E_NATS_TLS` where the connection could not be encrypted as demanded; undefined for others. */
export function tlsFailure(
  servers: readonly string[],
  failure: unknown,
  showsCertificate: boolean,
): UnderstudyError | undefined {
  const words = explainTls(failure, showsCertificate);
  if (words === undefined) return undefined;
  const [why, hint] = words;
  const message = `no encrypted connection to ${servers.join(', ')}: ${why}`;
  return new UnderstudyError('E_NATS_TLS', message, {
    hint,
    fields: { servers: servers.join(','), cause: systemCode(failure) ?? null },
    cause: failure,
  });
}

function classify(error: Error): readonly [code: string, hint: string] {
  switch (error.name) {
    case 'PermissionViolationError':
      return [
        'E_NATS_PERMISSION',
        "Allow this user what its guest needs: `understudy nats config` writes the server's users.",
      ];
    case 'AuthorizationError':
    case 'UserAuthenticationExpiredError':
      return ['E_NATS_AUTH', 'Check user, password, nkey, token or credentials in nats.'];
    default:
  }
  if (/slow consumer/i.test(error.message)) {
    return ['E_NATS_SLOW_CONSUMER', 'This side reads too slowly; raise max_pending of the server.'];
  }
  if (/maximum payload/i.test(error.message)) {
    return ['E_NATS_PAYLOAD', "Raise max_payload of the server, on all of a cluster's servers."];
  }
  return ['E_NATS_SERVER', "See the server's log."];
}

const authorityHint =
  'Name the authority that signed the certificate of the server as nats.tls.caFile; where it is ' +
  'the right one, somebody else answers at that address.';
const ownHint =
  'Give this agent a certificate of the authority that the server trusts, as nats.tls.certFile ' +
  "and keyFile; the server's log has its reason.";

/** Codes of OpenSSL, of Node, and of alerts that the other side sent (RFC 8446, section 6). */
function explainTls(
  failure: unknown,
  showsCertificate: boolean,
): readonly [why: string, hint: string] | undefined {
  if (!(failure instanceof Error)) return undefined;
  const code = systemCode(failure) ?? systemCode(failure.cause) ?? '';
  switch (code) {
    case 'CERT_HAS_EXPIRED':
      return ["the server's certificate has expired", 'Renew it; or this host’s clock is wrong.'];
    case 'CERT_NOT_YET_VALID':
      return ["the server's certificate is not valid yet", 'See the clocks of both hosts.'];
    case 'ERR_TLS_CERT_ALTNAME_INVALID':
      return [
        "the server's certificate is for another name",
        "Write nats.servers with a name or address that the server's certificate has.",
      ];
    case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE':
    case 'UNABLE_TO_GET_ISSUER_CERT':
    case 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY':
    case 'SELF_SIGNED_CERT_IN_CHAIN':
    case 'DEPTH_ZERO_SELF_SIGNED_CERT':
    case 'CERT_SIGNATURE_FAILURE':
    case 'CERT_UNTRUSTED':
      return ["the server's certificate is not of an authority trusted here", authorityHint];
    default:
  }
  if (failure.message.includes("does not support 'tls'")) {
    const hint =
      'Switch TLS on in the server (`understudy nats config` writes its file); only where the ' +
      'network may see everything that the guest holds: `tls: off` and nats:// in the nats section.';
    return ['the server does not offer encryption', hint];
  }
  if (/^ERR_SSL_.*ALERT/.test(code)) {
    if (!showsCertificate) return ['the server wants a certificate of this agent', ownHint];
    const alert = code
      .replace(/^.*ALERT_/, '')
      .replaceAll('_', ' ')
      .toLowerCase();
    return [`the server refuses this agent's certificate (${alert})`, ownHint];
  }
  if (code.startsWith('ERR_SSL_')) return [failure.message, "See the server's log."];
  return undefined;
}
