import { type AlarmClock, sleep } from '../shared/clock.ts';
import { secretBytes } from '../shared/codec/codec-settings.ts';
import type { KnownRam } from '../shared/codec/known-ram.ts';
import { isUnderstudyError, UnderstudyError } from '../shared/errors.ts';
import type { Guest } from '../shared/guest/guest.ts';
import { type SessionId, sessionId, type Term } from '../shared/ids.ts';
import type { ControlChannel } from '../shared/transport/control-channel.ts';
import type { Hello, Refuse } from '../shared/wire/control-body.ts';
import { commonProtocol, ownProtocols, protocolMismatch } from '../shared/wire/protocol.ts';

export interface GreeterParts {
  readonly guest: Guest;
  readonly agentId: string;
  readonly settings: Pick<Hello, 'hash' | 'blockBytes' | 'generalCodec' | 'windowBytes'>;
  readonly control: ControlChannel;
  /** The guest's replicated disks, where it has some. */
  readonly disks?: { readonly server: { readonly sizes: readonly number[] } } | undefined;
  readonly clock: AlarmClock;
  readonly randomBytes: (count: number) => Uint8Array;
  isWanted(): boolean;
  term(): Term;
  /** What the guest went on from, if all that it wrote since is known. */
  base(): KnownRam | undefined;
  onAnswer(answer: Welcomed | Refused): void;
  /** Why it was not settled yet. */
  onLater(error: unknown): void;
}

export interface Welcomed {
  readonly kind: 'welcomed';
  readonly session: SessionId;
  readonly secret: Uint8Array;
  readonly backupAgent: string;
  /** What the backup holds; undefined: digests will say. */
  readonly base: KnownRam | undefined;
}

/** For good. */
export interface Refused {
  readonly kind: 'refused';
  readonly code: string;
  readonly message: string;
  readonly hint: string;
}

type GreetingAnswer =
  | Welcomed
  | Refused
  /** No backup, or one whose refusal its operator can mend while the guest runs. */
  | { readonly kind: 'later'; readonly error: unknown; readonly retryMs: number };

const answerTimeoutMs = 1000;
const absentRetryMs = 250;
const refusedRetryMs = 2000;

/**
 * Asks for a session, each time with a fresh name, and with a fresh secret where there is no base:
 * digests of RAM mean something under one secret only.
 */
export class Greeter {
  readonly #parts: GreeterParts;
  #seeking = false;

  constructor(parts: GreeterParts) {
    this.#parts = parts;
  }

  /** Asks again and again until an answer settles it, or it is not wanted any more. */
  async seek(): Promise<void> {
    if (this.#seeking) return;
    this.#seeking = true;
    const { isWanted, term, onAnswer, onLater, clock } = this.#parts;
    try {
      while (isWanted()) {
        const answer = await this.#greet(term());
        if (!isWanted()) return;
        if (answer.kind !== 'later') {
          onAnswer(answer);
          return;
        }
        onLater(answer.error);
        await sleep(clock, answer.retryMs);
      }
    } finally {
      this.#seeking = false;
    }
  }

  async #greet(term: Term): Promise<GreetingAnswer> {
    const { guest, agentId, settings, control, randomBytes, disks } = this.#parts;
    const session = sessionId(hex(randomBytes(8)));
    const base = this.#parts.base();
    const secret = base?.settings.secret ?? randomBytes(secretBytes);
    const { hash, blockBytes, generalCodec, windowBytes } = settings;
    const hello: Hello = {
      kind: 'hello',
      protocol: ownProtocols.min,
      protocolMax: ownProtocols.max,
      agent: agentId,
      guestName: guest.name,
      instance: guest.instance,
      secret: hex(secret),
      ...{ hash, blockBytes, generalCodec, windowBytes },
      description: guest.description,
      diskBytes: disks?.server.sizes ?? [],
      base: base?.ramDigest ?? null,
    };
    try {
      const kinds = ['welcome', 'refuse'] as const;
      const answer = await control.ask({ session, term }, hello, kinds, answerTimeoutMs);
      if (answer.kind === 'refuse') return judgeRefusal(answer);
      const { protocol } = answer;
      const chosen = { min: protocol, max: protocol };
      if (commonProtocol(chosen) === undefined) {
        return judgeRefusal({ kind: 'refuse', ...protocolMismatch(ownProtocols, chosen) });
      }
      control.enter({ session, term }, protocol);
      const { agent: backupAgent, hasBase } = answer;
      return { kind: 'welcomed', session, secret, backupAgent, base: hasBase ? base : undefined };
    } catch (error) {
      const absent =
        isUnderstudyError(error, 'E_TRANSPORT_NO_RESPONDER') ||
        isUnderstudyError(error, 'E_TRANSPORT_TIMEOUT');
      return {
        kind: 'later',
        error: absent ? noBackup(guest.name) : error,
        retryMs: absentRetryMs,
      };
    }
  }
}

function judgeRefusal({ code, message, hint }: Refuse): GreetingAnswer {
  if (code === 'E_PRIMARY_EXISTS') return { kind: 'refused', code, message, hint };
  const error = new UnderstudyError(code, message, { hint });
  return { kind: 'later', error, retryMs: refusedRetryMs };
}

function noBackup(guest: string): UnderstudyError {
  return new UnderstudyError('E_BACKUP_ABSENT', `no backup answers for guest ${guest}`, {
    hint: 'The guest runs unprotected until one does: start `understudy backup` on the other host.',
  });
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
