import type { GuestDescription } from '../../shared/guest/guest.ts';
import type { GuestName, Term } from '../../shared/ids.ts';
import type { Hello, Refuse } from '../../shared/wire/control-body.ts';
import {
  commonProtocol,
  ownProtocols,
  type ProtocolRange,
  protocolMismatch,
} from '../../shared/wire/protocol.ts';
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

/** The protocols that a primary speaks. */
export const protocolsOf = ({ protocol, protocolMax }: Hello): ProtocolRange => ({
  ...{ min: protocol, max: protocolMax },
});

/** What this side knows when a primary greets. */
export interface GreetedSide {
  readonly guestName: GuestName;
  readonly description: GuestDescription;
  /** Size of each replicated disk. */
  readonly diskBytes: readonly number[];
  /** The highest term that was seen here. */
  readonly highestTerm: Term;
}

/**
 * Refuses a primary whose guest this side could not resume, or whose term is older than what was
 * seen here; undefined where there is nothing against it.
 */
export function checkHello(hello: Hello, term: Term, side: GreetedSide): Refuse | undefined {
  const { guestName, description, diskBytes, highestTerm } = side;
  const protocols = protocolsOf(hello);
  if (commonProtocol(protocols) === undefined) {
    return { kind: 'refuse', ...protocolMismatch(protocols, ownProtocols) };
  }
  if (term < highestTerm) {
    return {
      kind: 'refuse',
      code: 'E_TERM_OLD',
      message: `the primary is in term ${term}, and term ${highestTerm} was seen here`,
      hint: 'Another host may run the guest: the primary looks at the record of terms by itself.',
    };
  }
  if (hello.guestName !== guestName) {
    return mismatch('guest.name', hello.guestName, guestName);
  }
  for (const key of descriptionKeys) {
    const [ours, theirs] = [description[key], hello.description[key]];
    if (ours !== theirs) return mismatch(keyInConfig[key], theirs, ours);
  }
  for (const [disk, ours] of diskBytes.entries()) {
    const theirs = hello.diskBytes[disk];
    if (ours !== theirs) return otherSize(disk, theirs, ours);
  }
  return undefined;
}

function otherSize(disk: number, theirs: number | undefined, ours: number): Refuse {
  const there = theirs === undefined ? 'not there' : `${theirs} bytes`;
  return {
    kind: 'refuse',
    code: 'E_DISK_SIZE',
    message: `replicated disk ${disk} is ${there} on the primary, ${ours} bytes on the backup`,
    hint: 'Make the image on the backup as large as that of the primary (truncate -s SIZE FILE).',
  };
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
