import { networkBounds } from './network-bounds.ts';

/**
 * TCP connections of a guest that was set back to before what its clients have heard, and is told
 * again what it was told since. They acknowledge bytes that it has yet to send, and a TCP that is
 * told so passes over the whole segment (RFC 9293, 3.10.7.4: "If the ACK acks something not yet
 * sent […] drop the segment"), with the request that is in it. So here what is acknowledged is never
 * more than the guest has sent: what its clients had said before, or itself said since.
 *
 * A guest that answers as it did before comes to where its clients are, and nothing is changed from
 * then on. Frames that are no whole TCP segments pass as they are.
 */
export class RewoundConnections {
  /** By connection: the number after the last byte that the guest is known to have sent. */
  readonly #sentTo = new Map<string, number>();

  /** `toldBefore`: frames that it was told before the point that it is set back to. */
  constructor(toldBefore: readonly Uint8Array[]) {
    for (const frame of toldBefore) {
      const segment = segmentIn(frame, 'for-guest');
      if (segment === undefined || !acknowledges(segment)) continue;
      const sentTo = segment.view.getUint32(segment.tcpAt + ackAt);
      const known = this.#sentTo.get(segment.connection);
      if (known === undefined || isAfter(sentTo, known)) this.#note(segment.connection, sentTo);
    }
  }

  /** The guest sent `frame`. */
  said(frame: Uint8Array): void {
    const segment = segmentIn(frame, 'from-guest');
    if (segment === undefined) return;
    const { connection, view, tcpAt, endsAt, flags } = segment;
    const dataBytes = endsAt - tcpAt - ((view.getUint8(tcpAt + 12) >>> 4) << 2);
    const flagged = (flags & synFlag ? 1 : 0) + (flags & finFlag ? 1 : 0);
    const end = (view.getUint32(tcpAt + 4) + Math.max(0, dataBytes) + flagged) >>> 0;
    const known = this.#sentTo.get(connection);
    if (known === undefined || (flags & synFlag) !== 0 || isAfter(end, known)) {
      this.#note(connection, end);
    }
  }

  /** What the guest is told in place of `frame`: itself, or a copy that acknowledges less. */
  told(frame: Uint8Array): Uint8Array {
    const segment = segmentIn(frame, 'for-guest');
    if (segment === undefined || !acknowledges(segment)) return frame;
    const { connection, view, tcpAt } = segment;
    const acknowledged = view.getUint32(tcpAt + ackAt);
    const sentTo = this.#sentTo.get(connection);
    // Its client had not spoken for long: what it acknowledges first, it had heard before.
    if (sentTo === undefined) this.#note(connection, acknowledged);
    if (sentTo === undefined || !isAfter(acknowledged, sentTo)) return frame;
    const copy = Uint8Array.from(frame);
    const copyView = new DataView(copy.buffer);
    copyView.setUint32(tcpAt + ackAt, sentTo);
    const sum = copyView.getUint16(tcpAt + checksumAt);
    copyView.setUint16(tcpAt + checksumAt, adjusted(sum, acknowledged, sentTo));
    return copy;
  }

  #note(connection: string, sentTo: number): void {
    const isKnown = this.#sentTo.has(connection);
    if (isKnown || this.#sentTo.size < networkBounds.rewoundConnectionsMax) {
      this.#sentTo.set(connection, sentTo);
    }
  }
}

const [finFlag, synFlag, rstFlag, ackFlag] = [0x01, 0x02, 0x04, 0x10];
/** In a TCP header (RFC 9293, 3.1). */
const [ackAt, checksumAt, tcpHeaderBytes] = [8, 16, 20];
const etherHeaderBytes = 14;
const tcpProtocol = 6;

interface Segment {
  /** Names guest and client in the same order in both directions. */
  readonly connection: string;
  readonly view: DataView;
  /** Where in the frame the TCP header is, and where its segment ends. */
  readonly tcpAt: number;
  readonly endsAt: number;
  readonly flags: number;
}

const acknowledges = ({ flags }: Segment) =>
  (flags & ackFlag) !== 0 && (flags & (synFlag | rstFlag)) === 0;

/** Undefined where the frame is not Ethernet with a whole TCP segment over IPv4 or IPv6. */
function segmentIn(frame: Uint8Array, way: 'from-guest' | 'for-guest'): Segment | undefined {
  if (frame.byteLength < etherHeaderBytes + 20 + tcpHeaderBytes) return undefined;
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  const ip = view.getUint16(12) === 0x0800 ? ipv4In(view) : ipv6In(view);
  if (ip === undefined) return undefined;
  const { addressesAt, addressBytes, tcpAt, endsAt } = ip;
  if (endsAt > frame.byteLength || tcpAt + tcpHeaderBytes > endsAt) return undefined;
  const address = (at: number) =>
    Buffer.from(frame.buffer, frame.byteOffset + at, addressBytes).toString('hex');
  const source = `${address(addressesAt)}.${view.getUint16(tcpAt)}`;
  const target = `${address(addressesAt + addressBytes)}.${view.getUint16(tcpAt + 2)}`;
  const [guest, client] = way === 'from-guest' ? [source, target] : [target, source];
  const flags = view.getUint8(tcpAt + 13);
  return { connection: `${guest} ${client}`, view, tcpAt, endsAt, flags };
}

/** RFC 791, 3.1. A fragment is no whole segment. */
function ipv4In(view: DataView) {
  const at = etherHeaderBytes;
  const first = view.getUint8(at);
  const isFragment = (view.getUint16(at + 6) & 0x3fff) !== 0;
  if (first >>> 4 !== 4 || isFragment || view.getUint8(at + 9) !== tcpProtocol) return undefined;
  const tcpAt = at + ((first & 15) << 2);
  return { addressesAt: at + 12, addressBytes: 4, tcpAt, endsAt: at + view.getUint16(at + 2) };
}

/** RFC 8200, 3; without extension headers. */
function ipv6In(view: DataView) {
  const at = etherHeaderBytes;
  if (view.getUint16(12) !== 0x86dd || view.getUint8(at + 6) !== tcpProtocol) return undefined;
  const tcpAt = at + 40;
  return { addressesAt: at + 8, addressBytes: 16, tcpAt, endsAt: tcpAt + view.getUint16(at + 4) };
}

/** Sequence numbers go round (RFC 9293, 3.4). */
const isAfter = (one: number, other: number) => ((one - other) | 0) > 0;

/** The checksum of a segment in which 32 bits were changed (RFC 1624, equation 3). */
function adjusted(checksum: number, before: number, after: number): number {
  let sum = (~checksum & 0xffff) + (~before & 0xffff) + (~(before >>> 16) & 0xffff);
  sum += (after & 0xffff) + (after >>> 16);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
