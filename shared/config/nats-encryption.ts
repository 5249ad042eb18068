import type { PrimaryConfig } from './schema.ts';

type NatsSection = Pick<PrimaryConfig['nats'], 'servers' | 'tls'>;

/** Whether no word may go to a server before the connection is encrypted. */
export function demandsTls({ servers, tls }: NatsSection): boolean {
  if (tls === 'off') return false;
  const isAnySet = Object.values(tls).some((file) => file !== null);
  return isAnySet || servers.some(isTlsServer);
}

/**
 * Guest memory crosses no network in clear unless the file says so: what is wrong with the
 * section, as a sentence, or undefined.
 */
export function clearTextProblem(nats: NatsSection): string | undefined {
  const { servers, tls } = nats;
  if (tls === 'off') {
    const encrypted = servers.find(isTlsServer);
    if (encrypted === undefined) return undefined;
    return `${encrypted} is to be encrypted, and nats.tls is off: remove one of the two`;
  }
  if (demandsTls(nats)) return undefined;
  const distant = servers.find((server) => !isLoopback(server));
  if (distant === undefined) return undefined;
  return `${distant} is reached over a network, and guest memory would cross it in clear: write \
tls://${distant.replace('nats://', '')}, with nats.tls.caFile for a CA of your own; \
or \`tls: off\` under nats, if that network may see everything the guest holds`;
}

const isTlsServer = (server: string): boolean => server.startsWith('tls://');

/** By what the file says: a name that only resolves to a loopback address is not one. */
function isLoopback(server: string): boolean {
  const host = /^(?:[a-z]+:\/\/)?(\[[^\]]*\]|[^:]*)/.exec(server)![1]!.toLowerCase();
  return host === 'localhost' || host === '[::1]' || /^127(?:\.\d{1,3}){3}$/.test(host);
}
