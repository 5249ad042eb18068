/**
 * Control messages with JSON bodies. The session, the term and the epoch are in the header.
 */

import { bounds } from '../bounds.ts';
import type { GeneralCodec } from '../codec/codec-settings.ts';
import { type BlockBytes, type BlockHash, blockBytesChoices } from '../codec/codec-settings.ts';
import type { GuestDescription } from '../guest/guest.ts';
import { type Epoch, epoch, type SessionId, sessionId, type Term, term } from '../ids.ts';
import { hex64 } from './frame.ts';
import { JsonFields, jsonBody } from './json-fields.ts';

/** Primary → backup: asks for the session that the header names. */
export interface Hello {
  readonly kind: 'hello';
  /** The oldest protocol that the sender speaks: all that a release with protocol 1 looks at. */
  readonly protocol: number;
  /** The newest one; not in the body where it is the same. */
  readonly protocolMax: number;
  /** 16 hex digits, drawn when the primary's process starts. */
  readonly agent: string;
  readonly guestName: string;
  /** 16 hex digits that name this run of the guest: the same after a restart of its agent. */
  readonly instance: string;
  /** Secret of the block hash, 384 hex digits (192 bytes). */
  readonly secret: string;
  readonly hash: BlockHash;
  readonly blockBytes: BlockBytes;
  readonly generalCodec: GeneralCodec;
  /** Size of the data stream's window; the receiver makes room for as much. */
  readonly windowBytes: number;
  readonly description: GuestDescription;
  /** Size of each replicated disk in bytes; not in the body where there is none. */
  readonly diskBytes: readonly number[];
  /**
   * RAM digest, under `secret`, of what the guest went on from where it was taken over: whatever
   * it wrote since is known. Not in the body where there is none.
   */
  readonly base: bigint | null;
}

/** Backup → primary: the session is agreed; the data stream may begin at sequence 1. */
export interface Welcome {
  readonly kind: 'welcome';
  /** What the session speaks: the newest protocol of both. */
  readonly protocol: number;
  readonly agent: string;
  /** The whole epoch that the backup holds. */
  readonly holds: Held | null;
  /** Pages in a region of the digests that bring it level. */
  readonly regionPages: number;
  /** RAM here is the `base` that HELLO names: no digests are needed. Not in the body where not. */
  readonly hasBase: boolean;
}

export interface Held {
  readonly session: SessionId;
  readonly epoch: Epoch;
  readonly term: Term;
}

/** Backup → primary: no session, and why. */
export interface Refuse {
  readonly kind: 'refuse';
  readonly code: string;
  readonly message: string;
  readonly hint: string;
}

/** Backup → primary: the header's epoch is applied and will survive a crash of the agent. */
export interface Ack {
  readonly kind: 'ack';
  readonly epoch: Epoch;
}

/** Backup → primary: the header's epoch was not applied; the session must begin anew. */
export interface Resync {
  readonly kind: 'resync';
  readonly epoch: Epoch;
  readonly code: string;
  readonly reason: string;
}

/** Primary → backup: the silence to come is no death; do not take over. */
export interface StandDown {
  readonly kind: 'stand-down';
  readonly agent: string;
  readonly reason: string;
}

/** Primary → backup: could it go on with the guest, if it were handed over now? */
export interface SwitchoverRequest {
  readonly kind: 'switchover-request';
}

/** Backup → primary: it holds the session's epochs, its RAM is verified, its standby waits. */
export interface SwitchoverReady {
  readonly kind: 'switchover-ready';
}

/** Primary → backup: the guest stands still at the header's epoch; claim a term and go on. */
export interface HandOver {
  readonly kind: 'hand-over';
  readonly epoch: Epoch;
}

/** Backup → primary: the guest goes on here. */
export interface HandedOver {
  readonly kind: 'handed-over';
  readonly epoch: Epoch;
}

export type ControlMessage =
  | Hello
  | Welcome
  | Refuse
  | Ack
  | Resync
  | StandDown
  | SwitchoverRequest
  | SwitchoverReady
  | HandOver
  | HandedOver;

export function encodeControlBody(message: ControlMessage): Uint8Array {
  // The kind and the epoch are in the header: what is said once can't contradict itself.
  const { kind: _kind, ...rest } = message;
  if ('protocolMax' in rest) {
    const { protocolMax: _max, ...older } = rest;
    const { diskBytes, base, ...body } = rest.protocolMax === rest.protocol ? older : rest;
    const disks = diskBytes.length === 0 ? {} : { diskBytes };
    return jsonBody({ ...body, ...disks, ...(base === null ? {} : { base: hex64(base) }) });
  }
  if ('hasBase' in rest) {
    const { hasBase, ...body } = rest;
    return jsonBody(hasBase ? rest : body);
  }
  if ('epoch' in rest) {
    const { epoch: _epoch, ...body } = rest;
    return jsonBody(body);
  }
  return jsonBody(rest);
}

/** `epochOfFrame` is the header's. Throws `E_FRAME_CORRUPT` naming the field. */
export function decodeControlBody(
  kind: ControlMessage['kind'],
  epochOfFrame: Epoch,
  body: Uint8Array,
): ControlMessage {
  const fields = JsonFields.parse(body, kind);
  switch (kind) {
    case 'hello':
      return readHello(fields);
    case 'welcome':
      return readWelcome(fields);
    case 'refuse': {
      const code = fields.text('code', 64);
      return { kind, code, message: fields.text('message'), hint: fields.text('hint') };
    }
    case 'ack':
      return { kind, epoch: epochOfFrame };
    case 'resync': {
      const code = fields.text('code', 64);
      return { kind, epoch: epochOfFrame, code, reason: fields.text('reason') };
    }
    case 'stand-down':
      return { kind, agent: fields.hex('agent', 16), reason: fields.text('reason') };
    case 'switchover-request':
    case 'switchover-ready':
      return { kind };
    case 'hand-over':
    case 'handed-over':
      return { kind, epoch: epochOfFrame };
  }
}

function readHello(fields: JsonFields): Hello {
  // First, so that another release is told apart before anything else is judged.
  const protocol = fields.integer('protocol', 1, 0xffff);
  return {
    kind: 'hello',
    protocol,
    protocolMax: fields.has('protocolMax')
      ? fields.integer('protocolMax', protocol, 0xffff)
      : protocol,
    agent: fields.hex('agent', 16),
    guestName: fields.text('guestName', 63),
    instance: fields.hex('instance', 16),
    secret: fields.hex('secret', 384),
    hash: fields.oneOf('hash', ['xxh3', 'xxh64']),
    blockBytes: fields.oneOf('blockBytes', blockBytesChoices),
    generalCodec: fields.oneOf('generalCodec', ['lz4', 'gzip', 'none']),
    windowBytes: fields.integer('windowBytes', bounds.windowBytesMin, bounds.windowBytesMax),
    description: readDescription(fields.object('description')),
    diskBytes: fields.has('diskBytes')
      ? fields.integers('diskBytes', 1, Number.MAX_SAFE_INTEGER, disksMax)
      : [],
    base: fields.has('base') ? BigInt(`0x${fields.hex('base', 16)}`) : null,
  };
}

/** Disks of one guest. */
const disksMax = 64;

function readWelcome(fields: JsonFields): Welcome {
  const holds = fields.objectOrNull('holds');
  return {
    kind: 'welcome',
    protocol: fields.integer('protocol', 1, 0xffff),
    agent: fields.hex('agent', 16),
    holds: holds === null ? null : readHeld(holds),
    regionPages: fields.integer('regionPages', 1, 2 ** 20),
    hasBase: fields.has('hasBase') && fields.boolean('hasBase'),
  };
}

function readHeld(fields: JsonFields): Held {
  return {
    session: sessionId(fields.hex('session', 16)),
    epoch: epoch(fields.integer('epoch', 0, Number.MAX_SAFE_INTEGER)),
    term: term(fields.integer('term', 0, Number.MAX_SAFE_INTEGER)),
  };
}

function readDescription(fields: JsonFields): GuestDescription {
  return {
    memoryBytes: fields.integer('memoryBytes', 4096, 2 ** 46),
    vcpus: fields.integer('vcpus', 1, 4096),
    machine: fields.text('machine', 100),
    accelerator: fields.text('accelerator', 100),
    qemuVersion: fields.text('qemuVersion', 100),
    devicesDigest: fields.text('devicesDigest', 100),
  };
}
