/**
 * Bodies of the input log, little-endian.
 *
 *   INPUT_LOG     u64 first sequence · u64 replay from · u32 count · u32 0 · count × frame
 *                 frame: u32 card · u32 length · that many bytes
 *   INPUT_LOGGED  u64 sequence
 *
 * The header's epoch of INPUT_LOG is the newest whose checkpoint was taken; a guest that is resumed
 * from it may lack input from `replayFrom` on.
 */
import { bounds } from '../bounds.ts';
import { type Epoch, epoch } from '../ids.ts';
import { ByteReader, ByteWriter } from './byte-fields.ts';
import { corruptBody } from './corrupt-body.ts';

/** An Ethernet frame that the guest was told. */
export interface InputFrame {
  readonly card: number;
  readonly frame: Uint8Array;
}

/** Primary → backup: input of the guest, in order; without frames where only the epoch is news. */
export interface InputLogMessage {
  readonly kind: 'input-log';
  readonly epoch: Epoch;
  /** Sequence of the first frame; the others follow one by one. Counts from 1 in each session. */
  readonly first: number;
  readonly replayFrom: number;
  readonly frames: readonly InputFrame[];
}

/** Backup → primary: input up to this sequence is logged. */
export interface InputLoggedMessage {
  readonly kind: 'input-logged';
  readonly sequence: number;
}

export type InputMessage = InputLogMessage | InputLoggedMessage;

/** The body as parts. Throws a plain Error over `bounds.inputBatchBytesMax`. */
export function encodeInputBody(message: InputMessage): Uint8Array[] {
  if (message.kind === 'input-logged') return [new ByteWriter(8).safe(message.sequence).bytes];
  const { first, replayFrom, frames } = message;
  const writer = new ByteWriter(24).safe(first).safe(replayFrom);
  const parts = [writer.u32(frames.length).u32(0).bytes];
  let bytes = 0;
  for (const { card, frame } of frames) {
    bytes += inputFrameBytes(frame);
    parts.push(new ByteWriter(8).u32(card).u32(frame.length).bytes, frame);
  }
  if (bytes > bounds.inputBatchBytesMax) throw new Error(`${bytes} bytes of input in one message`);
  return parts;
}

/** What a frame takes in a message. */
export const inputFrameBytes = (frame: Uint8Array): number => 8 + frame.length;

/** Frames are views of `body`. `about` is the header's epoch. Throws `E_FRAME_CORRUPT`. */
export function decodeInputBody(
  kind: InputMessage['kind'],
  about: Epoch,
  body: Uint8Array,
): InputMessage {
  const reader = new ByteReader(body, kind);
  if (kind === 'input-logged') {
    const sequence = reader.safe();
    reader.end();
    return { kind, sequence };
  }
  const [first, replayFrom, count] = [reader.safe(), reader.safe(), reader.u32()];
  if (reader.u32() !== 0 || first === 0 || replayFrom > first) {
    throw corruptBody(`input-log: from ${first}, replay from ${replayFrom}`);
  }
  if (count * 8 > body.length || body.length > bounds.inputBatchBytesMax + 24) {
    throw corruptBody(`input-log: ${count} frames in ${body.length} bytes`);
  }
  const frames: InputFrame[] = [];
  for (let index = 0; index < count; index++) {
    const card = reader.u32();
    frames.push({ card, frame: reader.bytes(reader.u32()) });
  }
  reader.end();
  return { kind, epoch: epoch(about), first, replayFrom, frames };
}
