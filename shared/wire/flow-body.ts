/**
 * Bodies of flow control and heartbeats, little-endian.
 *
 *   CREDIT     u64 report number · u64 consumed · u64 expected · u32 repair (0, 1) · u32 0
 *   PROBE      u64 next sequence
 *   HEARTBEAT  u64 agent · u64 beat · u64 captured · u64 acked · u32 state · u32 0 · f64 sent at
 */
import { type Epoch, epoch } from '../ids.ts';
import { ByteReader, ByteWriter } from './byte-fields.ts';
import { corruptBody } from './corrupt-body.ts';

/** Receiver → sender: how far the data stream has come. */
export interface Credit {
  readonly kind: 'credit';
  /** Counts a receiver's reports from 1: a sender ignores those that come late or twice. */
  readonly report: number;
  /** Frames below this sequence are done with: their room in the window is free again. */
  readonly consumed: number;
  /** The sequence that must arrive next. */
  readonly expected: number;
  /** Frames from `expected` on are missing: send them again. */
  readonly repair: boolean;
}

/** Sender → receiver, in the data stream's subject: what do you expect next? */
export interface Probe {
  readonly kind: 'probe';
  /** The sequence after the last one that was sent. */
  readonly next: number;
}

/** What an agent does, as its heartbeats say it. */
export const agentActivities = [
  'starting',
  'joining',
  'synchronising',
  'protecting',
  'held',
  'solo',
  'leaving',
  'standing-by',
  'taking-over',
  'running',
] as const;
export type AgentActivity = (typeof agentActivities)[number];

export interface Heartbeat {
  readonly kind: 'heartbeat';
  /** The agent's own number, drawn when its process starts. */
  readonly agent: bigint;
  /** Counts this agent's heartbeats from 1. */
  readonly beat: number;
  readonly captured: Epoch;
  readonly acked: Epoch;
  readonly activity: AgentActivity;
  /** Monotonic milliseconds on the sender's machine. */
  readonly sentAtMs: number;
}

export type FlowMessage = Credit | Probe | Heartbeat;

export function encodeFlowBody(message: FlowMessage): Uint8Array {
  switch (message.kind) {
    case 'credit': {
      const writer = new ByteWriter(32).safe(message.report).safe(message.consumed);
      return writer.safe(message.expected).u32(message.repair ? 1 : 0).bytes;
    }
    case 'probe':
      return new ByteWriter(8).safe(message.next).bytes;
    case 'heartbeat': {
      const writer = new ByteWriter(48).u64(message.agent).safe(message.beat);
      writer.safe(message.captured).safe(message.acked);
      return writer.u32(agentActivities.indexOf(message.activity)).u32(0).f64(message.sentAtMs)
        .bytes;
    }
  }
}

/** Throws `E_FRAME_CORRUPT`. */
export function decodeFlowBody(kind: FlowMessage['kind'], body: Uint8Array): FlowMessage {
  const reader = new ByteReader(body, kind);
  const message = readFlow(kind, reader);
  reader.end();
  return message;
}

function readFlow(kind: FlowMessage['kind'], reader: ByteReader): FlowMessage {
  switch (kind) {
    case 'credit': {
      const [report, consumed, expected] = [reader.safe(), reader.safe(), reader.safe()];
      const repair = reader.u32();
      if (repair > 1 || reader.u32() !== 0 || consumed > expected) {
        throw corruptBody(`credit: consumed ${consumed}, expected ${expected}, repair ${repair}`);
      }
      return { kind, report, consumed, expected, repair: repair === 1 };
    }
    case 'probe':
      return { kind, next: reader.safe() };
    case 'heartbeat': {
      const [agent, beat] = [reader.u64(), reader.safe()];
      const [captured, acked] = [epoch(reader.safe()), epoch(reader.safe())];
      const code = reader.u32();
      const activity = agentActivities[code];
      if (activity === undefined || reader.u32() !== 0) {
        throw corruptBody(`heartbeat: activity ${code} is not known`);
      }
      return { kind, agent, beat, captured, acked, activity, sentAtMs: reader.f64() };
    }
  }
}
