import { bounds } from '../../shared/bounds.ts';
import { basisOf, beginsSync, type KnownChanges } from '../../shared/change-basis.ts';
import type { AlarmClock } from '../../shared/clock.ts';
import type { CodecSettings } from '../../shared/codec/codec-settings.ts';
import { regionPages } from '../../shared/codec/region-digest.ts';
import type { PageRange } from '../../shared/disk/disk-control.ts';
import type { DiskServer } from '../../shared/disk/disk-server.ts';
import type { UnderstudyError } from '../../shared/errors.ts';
import { type Epoch, epoch, type GuestName, type Term, term } from '../../shared/ids.ts';
import type { EmitEvent } from '../../shared/observe/events.ts';
import type { About, Incoming } from '../../shared/transport/control-channel.ts';
import { defaultReceiveLimits } from '../../shared/transport/receive-window.ts';
import { RefusalCount } from '../../shared/transport/refusal-count.ts';
import { StreamReceiver } from '../../shared/transport/stream-receiver.ts';
import { subjectsOf } from '../../shared/transport/subjects.ts';
import type { Transport } from '../../shared/transport/transport.ts';
import type { Welcome } from '../../shared/wire/control-body.ts';
import { guestHash, sessionBits } from '../../shared/wire/frame.ts';
import { EpochDecoder } from '../decode/epoch-decoder.ts';
import type { DiskOrigin } from '../disk-origin.ts';
import type { ReplicaStore } from '../store/replica-store.ts';
import { type CommittedEpoch, EpochReceiver } from './epoch-receiver.ts';
import { ReplicaVerification } from './replica-verification.ts';

export interface ReplicaSessionParts {
  readonly about: About;
  readonly settings: CodecSettings;
  /** What the session speaks. */
  readonly protocol: number;
  readonly windowBytes: number;
  readonly store: ReplicaStore;
  /** Where the guest has replicated disks. */
  readonly disks?: DiskServer | undefined;
  readonly origin?: DiskOrigin | undefined;
  readonly transport: Transport;
  readonly clock: AlarmClock;
  readonly guestName: GuestName;
  readonly emit: EmitEvent;
  onCommitted(committed: CommittedEpoch): void;
  /** Frames came from the primary, whenever they are handled. Called every `watchTickMs` at most. */
  onArrived(): void;
  /** The frames that come now are of a higher term than those before. */
  onTerm(term: Term): void;
  /** The store had to give up the older epoch to make room for a synchronisation. */
  onOlderEpochGivenUp(): void;
  /** Called once; nothing is received afterwards. */
  onFailed(error: unknown): void;
}

/** The backup's end of one session: from its stream to the store. */
export class ReplicaSession {
  readonly about: About;
  readonly #parts: ReplicaSessionParts;
  readonly #prepared: Promise<unknown>;
  /** As it was before anything of this session was taken. */
  #known: readonly (KnownChanges | null)[] = [];
  readonly #receiver: EpochReceiver;
  readonly #stream: StreamReceiver;
  readonly #verification: ReplicaVerification;
  readonly #refusals = new RefusalCount();
  #last: Epoch = epoch(0);
  #arrivalToldAtMs = Number.NEGATIVE_INFINITY;

  private constructor(parts: ReplicaSessionParts, decoder: EpochDecoder) {
    this.about = parts.about;
    this.#parts = parts;
    const { about, store, settings, transport, clock, guestName, windowBytes } = parts;
    this.#receiver = new EpochReceiver(about, store, decoder, clock);
    // What is sealed is written first; nothing of this session is taken before this is done.
    this.#prepared = store.prepareSession(settings).then(async () => {
      this.#known = await this.#knownOfDisks();
      parts.origin?.sessionBegins(about.session, store.holds() !== null);
    });
    this.#prepared.catch((error: unknown) => parts.onFailed(error));
    const { emit } = parts;
    const onFailed = (error: unknown) => parts.onFailed(error);
    this.#verification = new ReplicaVerification({ store, clock, emit, onFailed });
    const subjects = subjectsOf(guestName);
    this.#stream = new StreamReceiver({
      transport,
      dataSubject: subjects.data,
      creditSubject: subjects.credit,
      guest: guestHash(guestName),
      session: sessionBits(about.session),
      clock,
      limits: { ...defaultReceiveLimits, windowBytes },
      handler: async (frame) => {
        await this.#prepared;
        const held = store.holds() !== null;
        const committed = await this.#receiver.handle(frame);
        if (committed !== undefined) this.#committed(committed);
        else if (held && store.holds() === null) parts.onOlderEpochGivenUp();
      },
      onBroken: (error) => parts.onFailed(error),
      onArrived: () => this.#arrived(),
      onTerm: (term) => parts.onTerm(term),
      onRefused: (error) => this.#refused(error),
    });
  }

  /** Starts to receive, and to digest RAM under the session's secret. */
  static async open(parts: ReplicaSessionParts): Promise<ReplicaSession> {
    return new ReplicaSession(parts, await EpochDecoder.create(parts.settings));
  }

  /** `base`: the RAM digest that the guest went on from, if that is of use. */
  welcome(agent: string, base: bigint | null): Welcome {
    const { store, settings, protocol } = this.#parts;
    const held = store.holds();
    const holds =
      held === null ? null : { session: held.session, epoch: held.epoch, term: term(held.term) };
    const hasBase = base !== null && store.isKnownAs(settings, base);
    return { kind: 'welcome', protocol, agent, holds, regionPages, hasBase };
  }

  /** Compares RAM with what was written, for the primary, once `number` is committed. */
  verify(number: Epoch, incoming: Incoming): void {
    this.#verification.ask(number, this.#last, incoming);
  }

  #arrived(): void {
    const nowMs = this.#parts.clock.nowMs();
    if (nowMs - this.#arrivalToldAtMs < bounds.watchTickMs) return;
    this.#arrivalToldAtMs = nowMs;
    this.#parts.onArrived();
  }

  /** A frame of another session or guest, or of an older term. */
  #refused(error: UnderstudyError): void {
    const told = this.#refusals.note(error);
    if (told === undefined) return;
    const { code, message, hint } = told;
    this.#parts.emit({ kind: 'warning', code, message, hint });
  }

  #committed(committed: CommittedEpoch): void {
    this.#last = committed.epoch;
    this.#verification.committed(committed.epoch);
    this.#parts.onCommitted(committed);
    const { epoch, spans } = committed;
    this.#parts.emit({ kind: 'spans', epoch, spans });
  }

  /** Digest of each page of RAM, once they are known: a live view. */
  async pageDigests(): Promise<BigUint64Array> {
    await this.#prepared;
    return this.#parts.store.pageDigests();
  }

  /**
   * What was known of a disk when the session began; `isOfNow`: what is known now, and holds after a
   * loss of power. Null: nothing.
   */
  async knownChanges(disk: number, isOfNow: boolean): Promise<KnownChanges | null> {
    await this.#prepared;
    if (!isOfNow) return this.#known[disk] ?? null;
    const { origin, store } = this.#parts;
    if (store.holds() !== null || disk >= this.diskBytes.length) return null;
    return (await origin?.knownNow(disk)) ?? null;
  }

  /** What is held is exactly an epoch; else this host may have run the guest itself. */
  async #knownOfDisks(): Promise<readonly (KnownChanges | null)[]> {
    const held = this.#parts.store.holds();
    const disks = (await this.#parts.disks?.known()) ?? [];
    return disks.map(({ known, isSameImage }) => {
      if (held === null) return known;
      // What is held is changed by epochs alone: then nothing is known by changes of this host.
      if (!isSameImage || (known !== null && !isFollowing(known))) return null;
      return { basis: basisOf(held.session, held.epoch, true), regions: new Uint32Array() };
    });
  }

  /** Digests of pages of a disk as it is now. */
  async diskDigests(range: PageRange): Promise<BigUint64Array> {
    await this.#prepared;
    return await this.#parts.disks!.digests(range, this.#parts.settings);
  }

  /** Size of each replicated disk in bytes. */
  get diskBytes(): readonly number[] {
    return this.#parts.disks?.sizes ?? [];
  }

  /** Receives nothing any more; resolves when the store is at rest, at a whole epoch. */
  async close(): Promise<void> {
    await this.#stream.close();
    await this.#prepared.catch(() => {});
    this.#receiver.close();
  }
}

/** The disk was brought level in place, and the guest has not changed it here since. */
const isFollowing = ({ basis, regions }: KnownChanges): boolean =>
  beginsSync(basis) && basis.isExact && regions.length === 0;
