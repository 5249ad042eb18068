import { closeSync, constants, openSync, writeFileSync } from 'node:fs';
import { systemCode, UnderstudyError } from '../errors.ts';
import { ioctl, type Mapping, mapAnonymous, openInterfaceSocket } from '../native/libc.ts';
import { interfaceNamePattern } from './uplink.ts';

/**
 * A TAP interface of the network namespace that this process is in, and its bridge. By ioctl
 * rather than by the `ip` command: a takeover must not wait for processes, and each failure has a
 * code of its own. Layout of `struct ifreq` (linux/if.h): the name in 16 bytes, then what is
 * asked, an i16 of flags or an i32 of an index.
 */
export interface TapDevice {
  /** Non-blocking. A read gives one frame, a write takes one. */
  readonly fd: number;
  readonly name: string;
}

/**
 * Makes the TAP, or takes one that was made for this user and is free, and brings it up.
 * It ends with its descriptor, except where somebody made it persistent.
 *
 * Errors: `E_UPLINK_UNAVAILABLE`, `E_UPLINK_RIGHT`, `E_UPLINK_IN_USE`, `E_UPLINK_NAME`.
 */
export function openTap(name: string): TapDevice {
  let fd: number;
  try {
    fd = openSync('/dev/net/tun', constants.O_RDWR | constants.O_NONBLOCK);
  } catch (cause) {
    throw unavailable(cause);
  }
  try {
    request(fd, setInterface, name, (view) =>
      view.setInt16(nameBytes, typeTap | noPacketInfo, true),
    );
    bringUp(name);
    return { fd, name };
  } catch (cause) {
    closeSync(fd);
    throw refusal(name, cause);
  }
}

/**
 * Attaches an interface to a bridge. True where it was not attached to any before: attaching
 * again, to see whether it still is, is one call that changes nothing.
 *
 * Errors: `E_UPLINK_BRIDGE` where there is no such bridge, `E_UPLINK_RIGHT`.
 */
export function attachToBridge(name: string, bridge: string): boolean {
  try {
    const index = indexOf(name);
    return onSocket((socket) => {
      try {
        request(socket, addToBridge, bridge, (view) => view.setInt32(nameBytes, index, true));
        return true;
      } catch (error) {
        if (systemCode(error) === 'EBUSY') return false;
        throw error;
      }
    });
  } catch (cause) {
    throw noBridge(name, bridge, cause);
  }
}

/**
 * The host itself says nothing on the guest's cable: without this its kernel looks for IPv6
 * routers there. Where IPv6 is off altogether there is nothing to do.
 */
export function silenceHost(name: string): void {
  try {
    writeFileSync(`/proc/sys/net/ipv6/conf/${name}/disable_ipv6`, '1');
  } catch (error) {
    if (!['ENOENT', 'EACCES', 'EPERM', 'EROFS'].includes(systemCode(error) ?? '')) throw error;
  }
}

/** TUNSETIFF, SIOCGIFFLAGS, SIOCSIFFLAGS, SIOCGIFINDEX, SIOCBRADDIF. */
const setInterface = 0x400454ca;
const getFlags = 0x8913;
const setFlags = 0x8914;
const getIndex = 0x8933;
const addToBridge = 0x89a2;
/** IFF_TAP, IFF_NO_PI, IFF_UP. */
const typeTap = 2;
const noPacketInfo = 0x1000;
const isUp = 1;
const nameBytes = 16;
const requestBytes = 40;

function bringUp(name: string): void {
  onSocket((socket) => {
    const flags = request(socket, getFlags, name).getInt16(nameBytes, true);
    // An owner without rights finds his TAP up already.
    if ((flags & isUp) !== 0) return;
    request(socket, setFlags, name, (view) => view.setInt16(nameBytes, flags | isUp, true));
  });
}

const indexOf = (name: string): number =>
  onSocket((socket) => request(socket, getIndex, name).getInt32(nameBytes, true));

function onSocket<T>(work: (socket: number) => T): T {
  const socket = openInterfaceSocket();
  try {
    return work(socket);
  } finally {
    closeSync(socket);
  }
}

let scratch: Mapping | undefined;

/** Makes one ioctl about interface `name`. The view returned is valid until the next one. */
function request(
  fd: number,
  number: number,
  name: string,
  fill?: (view: DataView) => void,
): DataView {
  if (!interfaceNamePattern.test(name)) throw new RangeError(`"${name}" names no interface`);
  scratch ??= mapAnonymous(4096);
  const { bytes, address } = scratch;
  bytes.fill(0, 0, requestBytes);
  bytes.set(Buffer.from(name), 0);
  const view = new DataView(bytes.buffer, bytes.byteOffset, requestBytes);
  fill?.(view);
  ioctl(fd, number, address);
  return view;
}

function unavailable(cause: unknown): UnderstudyError {
  const code = systemCode(cause) ?? 'unknown';
  return new UnderstudyError('E_UPLINK_UNAVAILABLE', `/dev/net/tun can't be opened: ${code}`, {
    hint: 'Load the module (modprobe tun), and give this process the device and the right to it.',
    fields: { cause: code },
    cause,
  });
}

function refusal(name: string, cause: unknown): unknown {
  const code = systemCode(cause);
  const details = { fields: { interface: name, cause: code ?? null }, cause };
  switch (code) {
    case 'EPERM':
    case 'EACCES':
      return noRight(name, cause);
    case 'EBUSY':
      return new UnderstudyError('E_UPLINK_IN_USE', `interface ${name} is in use`, {
        hint: 'Another process has this TAP open: end it, or name another in uplink.name.',
        ...details,
      });
    case 'EINVAL':
    case 'EEXIST':
      return new UnderstudyError('E_UPLINK_NAME', `${name} is no TAP that can be used: ${code}`, {
        hint: 'An interface of this name and of another kind is there: choose another uplink.name.',
        ...details,
      });
    default:
      return cause;
  }
}

function noBridge(name: string, bridge: string, cause: unknown): unknown {
  const code = systemCode(cause);
  if (code === 'EPERM' || code === 'EACCES') return noRight(name, cause);
  if (!['ENODEV', 'EOPNOTSUPP', 'EINVAL', 'ELOOP'].includes(code ?? '')) return cause;
  return new UnderstudyError('E_UPLINK_BRIDGE', `${bridge} is no bridge for ${name}: ${code}`, {
    hint: `Make it and bring it up (ip link add ${bridge} type bridge), or correct uplink.bridge.`,
    fields: { bridge, interface: name, cause: code ?? null },
    cause,
  });
}

function noRight(name: string, cause: unknown): UnderstudyError {
  return new UnderstudyError('E_UPLINK_RIGHT', `interface ${name} needs CAP_NET_ADMIN`, {
    hint: 'Run as root, or make the TAP for this user, up and on its bridge (see ip tuntap help).',
    fields: { interface: name },
    cause,
  });
}
