/** Everything that one side can say to the other, as one union, and its way to a frame. */
import { type Epoch, epoch, type Term } from '../ids.ts';
import { type ControlMessage, decodeControlBody, encodeControlBody } from './control-body.ts';
import { type DigestMessage, decodeDigestBody, encodeDigestBody } from './digest-body.ts';
import {
  type DiskChangesMessage,
  decodeDiskChangesBody,
  encodeDiskChangesBody,
} from './disk-changes-body.ts';
import {
  type DiskDigestMessage,
  decodeDiskDigestBody,
  encodeDiskDigestBody,
} from './disk-digest-body.ts';
import { decodeFlowBody, encodeFlowBody, type FlowMessage } from './flow-body.ts';
import { encodeFrame, type Frame } from './frame.ts';
import { decodeInputBody, encodeInputBody, type InputMessage } from './input-body.ts';
import { decodeStreamBody, encodeStreamBody, type StreamMessage } from './stream-body.ts';

export type Message =
  | StreamMessage
  | FlowMessage
  | ControlMessage
  | DigestMessage
  | InputMessage
  | DiskDigestMessage
  | DiskChangesMessage;

/** Who speaks, and about what. */
export interface Sender {
  readonly guest: bigint;
  /** 0 before a session exists. */
  readonly session: bigint;
  /** 0 before a term is known. */
  readonly term: Term;
}

/** A message outside the data stream, as one frame. Its epoch, where it has one, is the frame's. */
export function encodeMessage(from: Sender, message: Exclude<Message, StreamMessage>): Uint8Array {
  const about = 'epoch' in message ? message.epoch : epoch(0);
  const header = { ...from, kind: message.kind, epoch: about, sequence: 0 };
  return encodeFrame(header, encodeBody(message));
}

/** The body of any message, in parts. */
export function encodeBody(message: Message): Uint8Array[] {
  switch (message.kind) {
    case 'begin':
    case 'chunk':
    case 'baseline':
    case 'device':
    case 'commit':
    case 'abort':
    case 'disk':
    case 'disk-seal':
      return encodeStreamBody(message);
    case 'credit':
    case 'probe':
    case 'heartbeat':
      return [encodeFlowBody(message)];
    case 'hello':
    case 'welcome':
    case 'refuse':
    case 'ack':
    case 'resync':
    case 'stand-down':
    case 'switchover-request':
    case 'switchover-ready':
    case 'hand-over':
    case 'handed-over':
      return [encodeControlBody(message)];
    case 'region-digests-request':
    case 'region-digests':
    case 'page-digests-request':
    case 'page-digests':
    case 'verify-request':
    case 'verify':
      return encodeDigestBody(message);
    case 'disk-digests-request':
    case 'disk-digests':
      return encodeDiskDigestBody(message);
    case 'disk-changes-request':
    case 'disk-changes':
      return encodeDiskChangesBody(message);
    case 'input-log':
    case 'input-logged':
      return encodeInputBody(message);
  }
}

/** What a frame says. Payloads are views of the frame. Throws `E_FRAME_CORRUPT`. */
export function decodeMessage(frame: Pick<Frame, 'kind' | 'epoch' | 'body'>): Message {
  const { kind, body } = frame;
  const about: Epoch = frame.epoch;
  switch (kind) {
    case 'begin':
    case 'chunk':
    case 'baseline':
    case 'device':
    case 'commit':
    case 'abort':
    case 'disk':
    case 'disk-seal':
      return decodeStreamBody(kind, body);
    case 'credit':
    case 'probe':
    case 'heartbeat':
      return decodeFlowBody(kind, body);
    case 'hello':
    case 'welcome':
    case 'refuse':
    case 'ack':
    case 'resync':
    case 'stand-down':
    case 'switchover-request':
    case 'switchover-ready':
    case 'hand-over':
    case 'handed-over':
      return decodeControlBody(kind, about, body);
    case 'region-digests-request':
    case 'region-digests':
    case 'page-digests-request':
    case 'page-digests':
    case 'verify-request':
    case 'verify':
      return decodeDigestBody(kind, about, body);
    case 'disk-digests-request':
    case 'disk-digests':
      return decodeDiskDigestBody(kind, body);
    case 'disk-changes-request':
    case 'disk-changes':
      return decodeDiskChangesBody(kind, body);
    case 'input-log':
    case 'input-logged':
      return decodeInputBody(kind, about, body);
  }
}
