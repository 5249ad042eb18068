import { isUnderstudyError, UnderstudyError } from '../errors.ts';
import { type GuestName, type SessionId, sessionId, type Term, term } from '../ids.ts';
import {
  checkOrigin,
  checkTerm,
  decodeFrame,
  type Frame,
  guestHash,
  hex64,
  sessionBits,
} from '../wire/frame.ts';
import { decodeMessage, encodeMessage, type Message } from '../wire/message.ts';
import { risingTermsProtocol } from '../wire/protocol.ts';
import type { StreamMessage } from '../wire/stream-body.ts';
import { RefusalCount } from './refusal-count.ts';
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
  readonly #side: Side;
  readonly #ownSubject: string;
  readonly #peerSubject: string;
  readonly #refusals = new RefusalCount();
  #entered: About | undefined;
  #protocol = 0;

  constructor(transport: Transport, guest: GuestName, side: Side) {
    const subjects = subjectsOf(guest);
    this.#transport = transport;
    this.#side = side;
    this.#guest = guestHash(guest);
    this.#ownSubject = side === 'primary' ? subjects.controlToPrimary : subjects.controlToBackup;
    this.#peerSubject = side === 'primary' ? subjects.controlToBackup : subjects.controlToPrimary;
  }

  /** What came and was refused: foreign, stale, damaged. */
  get refusals(): Pick<RefusalCount, 'of'> {
    return this.#refusals;
  }

  /**
   * The session is the one that counts from now on, in this term: what comes of it with a lower
   * term is refused, and what goes out carries at least this one.
   */
  enter(about: About, protocol: number): void {
    this.#entered = about;
    this.#protocol = protocol;
  }

  /** The session that was entered goes on in a higher term, if both sides know of that. */
  raise(term: Term): void {
    const entered = this.#entered;
    if (entered === undefined || this.#protocol < risingTermsProtocol) return;
    if (term > entered.term) this.#entered = { ...entered, term };
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
    this.#checkTerm(frame);
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

  /**
   * Hears what the other side says. `onCorrupt` is told of what is refused: no message, one for
   * another guest, one of an older term.
   */
  listen(
    onMessage: (incoming: Incoming) => void,
    onCorrupt: (error: unknown) => void,
  ): Subscription {
    return this.#transport.subscribe(this.#ownSubject, (payload, reply) => {
      try {
        const frame = decodeFrame(payload);
        checkOrigin(frame, this.#guest);
        this.#checkTerm(frame);
        const about = { session: sessionId(hex64(frame.session)), term: frame.term };
        const answer = (message: ControlOut) => reply(this.#encode(about, message));
        onMessage({ ...about, message: decodeMessage(frame), answer });
      } catch (error) {
        if (!isUnderstudyError(error)) {
          onCorrupt(error);
          return;
        }
        // The other side then reads our version from it, and says both.
        if (isUnderstudyError(error, 'E_FRAME_VERSION'))
          reply(this.#encode(noSession, refuse(error)));
        const told = this.#refusals.note(error);
        if (told !== undefined) onCorrupt(told);
      }
    });
  }

  #checkTerm(frame: Frame): void {
    const entered = this.#entered;
    if (entered === undefined || frame.session !== sessionBits(entered.session)) return;
    // Whoever gave the session up may not have heard of its newer term, and asks for no more than
    // another session.
    if (frame.kind === 'resync') return;
    checkTerm(frame, entered.term);
    // The primary's terms rise by the record alone, the backup's by what its primary says.
    if (this.#side === 'backup') this.raise(frame.term);
  }

  #encode(about: About, message: ControlOut): Uint8Array {
    const { session } = about;
    const entered = this.#entered?.session === session ? this.#entered.term : about.term;
    const from = {
      guest: this.#guest,
      session: sessionBits(session),
      term: entered > about.term ? entered : about.term,
    };
    return encodeMessage(from, message);
  }
}

const noSession: About = { session: sessionId('0000000000000000'), term: term(0) };

const refuse = ({ code, message, hint }: UnderstudyError): ControlOut => ({
  ...{ kind: 'refuse', code, message, hint },
});

function isOfKind<Kind extends Message['kind']>(
  message: Message,
  kinds: readonly Kind[],
): message is Extract<Message, { kind: Kind }> {
  return (kinds as readonly string[]).includes(message.kind);
}
