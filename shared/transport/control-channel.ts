import { UnderstudyError } from '../errors.ts';
import { type GuestName, type SessionId, sessionId, type Term } from '../ids.ts';
import { checkOrigin, decodeFrame, guestHash, hex64, sessionBits } from '../wire/frame.ts';
import { decodeMessage, encodeMessage, type Message } from '../wire/message.ts';
import type { StreamMessage } from '../wire/stream-body.ts';
import { subjectsOf } from './subjects.ts';
import type { Subscription, Transport } from './transport.ts';

export type Side = 'primary' | 'backup';
export type ControlOut = Exclude<Message, StreamMessage>;

/** Which session and term a message is about. */
export interface About {
  readonly session: SessionId;
  readonly term: Term;
}

export interface Incoming extends About {
  readonly message: Message;
  /** Answers a request; without effect where nobody waits. */
  answer(message: ControlOut): void;
}

/**
 * The small messages between two agents: one frame each, at most once. Whoever needs to be sure
 * asks and gets an answer, or repeats.
 */
export class ControlChannel {
  readonly #transport: Transport;
  readonly #guest: bigint;
  readonly #ownSubject: string;
  readonly #peerSubject: string;

  constructor(transport: Transport, guest: GuestName, side: Side) {
    const subjects = subjectsOf(guest);
    this.#transport = transport;
    this.#guest = guestHash(guest);
    this.#ownSubject = side === 'primary' ? subjects.controlToPrimary : subjects.controlToBackup;
    this.#peerSubject = side === 'primary' ? subjects.controlToBackup : subjects.controlToPrimary;
  }

  /** Sends to the other side. False where there is no connection. */
  send(about: About, message: ControlOut): boolean {
    return this.#transport.publish(this.#peerSubject, this.#encode(about, message));
  }

  /**
   * Asks the other side. Throws `E_TRANSPORT_TIMEOUT`, `E_TRANSPORT_NO_RESPONDER`, and
   * `E_PEER_ANSWER` where the answer is not of kind `kind`.
   */
  async ask<Kind extends Message['kind']>(
    about: About,
    message: ControlOut,
    kinds: readonly Kind[],
    timeoutMs: number,
  ): Promise<Extract<Message, { kind: Kind }>> {
    const request = this.#encode(about, message);
    const frame = decodeFrame(await this.#transport.request(this.#peerSubject, request, timeoutMs));
    checkOrigin(frame, this.#guest, sessionBits(about.session));
    const answer = decodeMessage(frame);
    if (isOfKind(answer, kinds)) return answer;
    if (answer.kind === 'refuse') {
      throw new UnderstudyError(answer.code, answer.message, { hint: answer.hint });
    }
    throw new UnderstudyError(
      'E_PEER_ANSWER',
      `the other side answered ${message.kind} with ${answer.kind}`,
      { hint: 'Run the same release on both sides.' },
    );
  }

  /** Hears what the other side says. `onCorrupt` gets what is no message for this guest. */
  listen(
    onMessage: (incoming: Incoming) => void,
    onCorrupt: (error: unknown) => void,
  ): Subscription {
    return this.#transport.subscribe(this.#ownSubject, (payload, reply) => {
      try {
        const frame = decodeFrame(payload);
        checkOrigin(frame, this.#guest);
        const about = { session: sessionId(hex64(frame.session)), term: frame.term };
        const answer = (message: ControlOut) => reply(this.#encode(about, message));
        onMessage({ ...about, message: decodeMessage(frame), answer });
      } catch (error) {
        onCorrupt(error);
      }
    });
  }

  #encode(about: About, message: ControlOut): Uint8Array {
    const { session, term } = about;
    return encodeMessage({ guest: this.#guest, session: sessionBits(session), term }, message);
  }
}

function isOfKind<Kind extends Message['kind']>(
  message: Message,
  kinds: readonly Kind[],
): message is Extract<Message, { kind: Kind }> {
  return (kinds as readonly string[]).includes(message.kind);
}
