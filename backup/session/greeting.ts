import type { GuestDescription } from '../../shared/guest/guest.ts';
import type { GuestName } from '../../shared/ids.ts';
import { type Hello, protocolVersion, type Refuse } from '../../shared/wire/control-body.ts';
import type { RefusalReason } from '../machine.ts';

/** What the state machine refuses, in words for the primary's operator. */
export function refusal(reason: RefusalReason): Refuse {
  switch (reason) {
    case 'other-primary-alive':
      return {
        kind: 'refuse',
        code: 'E_PRIMARY_EXISTS',
        message: 'another primary protects this guest and is alive',
        hint: 'Stop one of the two primaries, or give the guests different names.',
      };
    case 'taking-over':
      return {
        kind: 'refuse',
        code: 'E_TAKEOVER_UNDER_WAY',
        message: 'the backup is taking the guest over',
        hint: 'Wait: the next answer says which copy runs.',
      };
  }
}

/** Refuses a primary whose guest this side could not resume; undefined if it could. */
export function checkHello(
  hello: Hello,
  guestName: GuestName,
  standby: GuestDescription,
): Refuse | undefined {
  if (hello.protocol !== protocolVersion) {
    return {
      kind: 'refuse',
      code: 'E_PROTOCOL_VERSION',
      message: `the primary speaks protocol ${hello.protocol}, the backup ${protocolVersion}`,
      hint: 'Run the same release of Understudy on both hosts.',
    };
  }
  if (hello.guestName !== guestName) {
    return mismatch('guest.name', hello.guestName, guestName);
  }
  for (const key of descriptionKeys) {
    const [ours, theirs] = [standby[key], hello.description[key]];
    if (ours !== theirs) return mismatch(keyInConfig[key], theirs, ours);
  }
  return undefined;
}

const descriptionKeys = [
  'memoryBytes',
  'vcpus',
  'machine',
  'accelerator',
  'qemuVersion',
  'devicesDigest',
] as const satisfies readonly (keyof GuestDescription)[];

const keyInConfig: Record<(typeof descriptionKeys)[number], string> = {
  memoryBytes: 'guest.memory',
  vcpus: 'guest.vcpus',
  machine: 'guest.machine',
  accelerator: 'guest.accelerator',
  qemuVersion: "QEMU's version",
  devicesDigest: 'the devices (disks, networks, extraArguments)',
};

function mismatch(what: string, theirs: string | number, ours: string | number): Refuse {
  return {
    kind: 'refuse',
    code: 'E_PEER_MISMATCH',
    message: `${what} differs: ${theirs} on the primary, ${ours} on the backup`,
    hint: 'Make the guest section of both configuration files describe the same machine.',
  };
}
