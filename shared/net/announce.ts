import { networkBounds } from './network-bounds.ts';

/**
 * A reverse ARP request of the guest for itself, as QEMU's `announce-self` sends it: switches and
 * bridges on its way learn behind which port the guest's address is now.
 *
 * The agent sends it, and not QEMU: QEMU announces when a stream has been loaded, before the guest
 * runs and perhaps before the cable is connected, and not through this uplink alone. It is enough:
 * the guest keeps its hardware address and its IP addresses, so that the neighbour tables of
 * clients stay right and no gratuitous ARP, which would need the guest's IP addresses, is needed.
 * A Linux guest adds its own when it runs (VIRTIO_NET_F_GUEST_ANNOUNCE).
 *
 * ```
 *  0  6 ff:ff:ff:ff:ff:ff   6  6 mac   12 2 0x8035 (RARP, RFC 903)
 * 14  2 1 (Ethernet)       16  2 0x0800 (IPv4)   18 1 6   19 1 4   20 2 3 (request reverse)
 * 22  6 mac  28 4 0.0.0.0  32  6 mac  38 4 0.0.0.0   42 18 zeros up to the least frame
 * ```
 */
export function reverseArp(mac: string): Uint8Array {
  const address = parseMac(mac);
  const frame = new Uint8Array(leastFrameBytes);
  frame.fill(0xff, 0, 6);
  frame.set(address, 6);
  frame.set([0x80, 0x35, 0, 1, 8, 0, 6, 4, 0, 3], 12);
  frame.set(address, 22);
  frame.set(address, 32);
  return frame;
}

/**
 * Sends the announcement at once and a few times after: the first ones may be lost while a bridge
 * still brings the port up. Returns how to stop.
 */
export function announce(mac: string, send: (frame: Uint8Array) => void): () => void {
  const frame = reverseArp(mac);
  const [, ...later] = networkBounds.announceAtMs;
  send(frame);
  const timers = later.map((ms) => setTimeout(() => send(frame), ms));
  return () => {
    for (const timer of timers) clearTimeout(timer);
  };
}

/** Without the check sequence. */
const leastFrameBytes = 60;
const macPattern = /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i;

function parseMac(mac: string): Uint8Array {
  if (!macPattern.test(mac)) throw new RangeError(`"${mac}" is no hardware address`);
  return Uint8Array.from(mac.split(':'), (byte) => Number.parseInt(byte, 16));
}
