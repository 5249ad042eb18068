import { bounds } from '../shared/bounds.ts';
import type { CodecSettings } from '../shared/codec/codec-settings.ts';
import type { KnownRam } from '../shared/codec/known-ram.ts';
import { isUnderstudyError, UnderstudyError } from '../shared/errors.ts';
import type { Guest } from '../shared/guest/guest.ts';
import { epoch, type SessionId, type Term, term } from '../shared/ids.ts';
import { Mailbox } from '../shared/mailbox.ts';
import { ControlChannel, type Incoming } from '../shared/transport/control-channel.ts';
import type { Hello } from '../shared/wire/control-body.ts';
import type { InputLogMessage } from '../shared/wire/input-body.ts';
import { commonProtocol } from '../shared/wire/protocol.ts';
import { activityOf, causeOf } from './cause.ts';
import { answerReadiness, HandoverRequest } from './handover.ts';
import {
  type BackupEffect,
  type BackupEvent,
  type BackupOutcome,
  type BackupState,
  initialBackupState,
  type OverSession,
  type Peer,
  stepBackup,
} from './machine.ts';
import type { BackupParts } from './parts.ts';
import { Resumption } from './resumption.ts';
import { answerDigests } from './session/digest-answers.ts';
import { checkHello, protocolsOf, refusal } from './session/greeting.ts';
import { ReplicaSession } from './session/replica-session.ts';
import { TakeoverClaim } from './takeover-claim.ts';

/** How the agent ended; `guest` is the one that runs here, if any. */
export interface BackupResult {
  readonly outcome: BackupOutcome;
  readonly guest: Guest | undefined;
  /** RAM as that guest found it. */
  readonly base: KnownRam | undefined;
}

const mailboxCapacity = 10_000;

/** Runs the backup's state machine: posts what happens as events, executes effects. */
export class BackupAgent {
  readonly #parts: BackupParts;
  readonly #mailbox = new Mailbox<BackupEvent>(mailboxCapacity);
  readonly #control: ControlChannel;
  readonly #greetings = new Map<SessionId, { hello: Hello; incoming: Incoming }>();
  #state: BackupState = initialBackupState;
  #session: ReplicaSession | undefined;
  /** Run of the guest whose epoch the store holds, as far as this process knows. */
  #heldFrom: string | undefined;
  #guest: Guest | undefined;
  #base: KnownRam | undefined;
  /** When the primary's silence was noticed, or its wish to hand over was heard. */
  #noticedAtMs = 0;
  #lastHeardAtMs = 0;
  readonly #resumption: Resumption;
  readonly #handover = new HandoverRequest();
  /** The guest's network is, whether it runs yet or not. */
  #isConnected = false;
  readonly #claim: TakeoverClaim;
  readonly #ended = new AbortController();
  #fatal: unknown = new Error('the mailbox closed before the agent finished');

  constructor(parts: BackupParts) {
    this.#parts = parts;
    this.#control = new ControlChannel(parts.transport, parts.guestName, 'backup');
    this.#resumption = new Resumption(parts);
    this.#claim = new TakeoverClaim(parts);
  }

  /** Stands by, and takes over when the time comes, until something ends it. */
  async run(stop: AbortSignal): Promise<BackupResult> {
    const { peer, standby, clock } = this.#parts;
    const onStop = () => this.#mailbox.post({ kind: 'stop' });
    stop.addEventListener('abort', onStop, { once: true });
    if (stop.aborted) onStop();
    const listening = this.#control.listen(
      (incoming) => this.#onMessage(incoming),
      (error) => this.#warn(error),
    );
    const releaseWatch = peer.onSilent(() => {
      this.#noticedAtMs = clock.nowMs();
      this.#mailbox.post({ kind: 'peer-silent' });
    });
    this.#parts.progress.show('standing-by');
    const stopRepeating = clock.every(bounds.ackRepeatMs, () => this.#repeatLastWord());
    // Of a takeover that an earlier process began: this one knows no sign of life of its primary.
    this.#noticedAtMs = this.#lastHeardAtMs = clock.nowMs();
    this.#decide((signal) => this.#claim.recall(signal));
    try {
      for (;;) {
        const event = await this.#mailbox.next();
        if (event === undefined) throw this.#fatal;
        const outcome = await this.#step(event);
        if (outcome !== undefined) return { outcome, guest: this.#guest, base: this.#base };
      }
    } finally {
      stopRepeating();
      this.#mailbox.close();
      this.#ended.abort(new Error('the agent has ended'));
      stop.removeEventListener('abort', onStop);
      listening.unsubscribe();
      releaseWatch();
      await this.#session?.close();
      if (this.#guest === undefined) await standby.discard();
    }
  }

  async #step(event: BackupEvent): Promise<BackupOutcome | undefined> {
    const before = this.#state;
    const { settings } = this.#parts;
    const { state, effects } = stepBackup(before, event, settings);
    this.#state = state;
    if (event.kind === 'committed' && 'peer' in state) this.#heldFrom = state.peer.instance;
    if (state.name !== before.name) this.#announce(before, state, event);
    for (const effect of effects) {
      const outcome = await this.#execute(effect);
      if (outcome !== undefined) return outcome;
    }
    return undefined;
  }

  async #execute(effect: BackupEffect): Promise<BackupOutcome | undefined> {
    switch (effect.kind) {
      case 'welcome':
        await this.#welcome(effect.peer);
        return undefined;
      case 'expect-primary':
        this.#parts.peer.expectAnyone();
        return undefined;
      case 'refuse': {
        const greeting = this.#greetings.get(effect.peer.session);
        this.#greetings.delete(effect.peer.session);
        greeting?.incoming.answer(refusal(effect.reason));
        return undefined;
      }
      case 'acknowledge': {
        const { session, epoch } = effect;
        this.#control.send({ session, term: this.#term }, { kind: 'ack', epoch });
        this.#parts.progress.acked(epoch);
        return undefined;
      }
      case 'ask-new-session':
        this.#askNewSession(effect);
        return undefined;
      case 'claim':
        await this.#session?.close();
        this.#lastHeardAtMs = this.#parts.peer.lastHeardAtMs;
        this.#decide((signal) => this.#claim.claim(signal));
        return undefined;
      case 'prepare-guest':
        await this.#attempt('prepare-failed', () => this.#prepareGuest());
        return undefined;
      case 'discard-prepared':
        await this.#resumption.discard();
        return undefined;
      case 'refuse-handover':
        this.#handover.refuse(effect.cause);
        return undefined;
      case 'resume-guest':
        await this.#attempt('takeover-failed', () => this.#resumeGuest());
        return undefined;
      case 'finish':
        return effect.outcome;
    }
  }

  #askNewSession({ session, cause: reason }: OverSession): void {
    const held = this.#parts.store.holds()?.epoch ?? epoch(0);
    const about = { session, term: this.#term };
    this.#control.send(about, { kind: 'resync', epoch: held, code: 'E_EPOCH_FAILED', reason });
  }

  /** One that was lost must not hold up the guest's output and epochs, or the next session. */
  #repeatLastWord(): void {
    if ('over' in this.#state) this.#askNewSession(this.#state.over);
    if (this.#state.name !== 'protecting') return;
    const { peer, epoch } = this.#state;
    this.#control.send({ session: peer.session, term: this.#term }, { kind: 'ack', epoch });
  }

  get #term(): Term {
    return this.#session?.about.term ?? term(0);
  }

  #onMessage(incoming: Incoming): void {
    const { message, session } = incoming;
    switch (message.kind) {
      case 'hello':
        this.#onHello(incoming, message);
        return;
      case 'stand-down':
        this.#mailbox.post({ kind: 'stood-down', agent: message.agent, reason: message.reason });
        return;
      case 'switchover-request':
        this.#onSwitchoverRequest(incoming);
        return;
      case 'hand-over':
        this.#noticedAtMs = this.#parts.clock.nowMs();
        this.#handover.came(incoming);
        this.#mailbox.post({ kind: 'hand-over', session, epoch: message.epoch });
        return;
      case 'region-digests-request':
      case 'page-digests-request':
      case 'disk-digests-request':
      case 'disk-changes-request':
        if (this.#session?.about.session !== session) return;
        answerDigests(this.#session, message, incoming).catch((error: unknown) =>
          this.#onSessionError(session, error),
        );
        return;
      case 'input-log':
        this.#logInput(session, message);
        return;
      case 'verify-request':
        if (this.#session?.about.session === session) {
          this.#session.verify(message.epoch, incoming);
        }
        return;
      default:
    }
  }

  /**
   * From `taking-over` on nothing is answered, so that nothing more is released over there. What comes
   * after a hand-over was not told to the guest: it may be lost, and no mark says that it was logged.
   */
  #logInput(session: SessionId, message: InputLogMessage): void {
    const { inputLog: log, loggedMark, network } = this.#parts;
    const { name } = this.#state;
    const [forwarded, last] = [this.#handover.inputOf(session), log?.last ?? 0];
    const isToLog = forwarded === undefined && (name === 'synchronising' || name === 'protecting');
    if (!isToLog && forwarded !== 'for-here') return;
    const sequence = log?.add(session, message);
    if (forwarded === 'for-here' && this.#isConnected) network.tell(log?.after(last) ?? []);
    if (!isToLog || sequence === undefined) return;
    if (sequence > 0) loggedMark?.set(session);
    this.#control.send({ session, term: this.#term }, { kind: 'input-logged', sequence });
  }

  #onHello(incoming: Incoming, hello: Hello): void {
    const { guestName, standby, peer, store, disks } = this.#parts;
    const refused = checkHello(hello, incoming.term, {
      ...{ guestName, description: standby.description, diskBytes: disks?.sizes ?? [] },
      highestTerm: this.#parts.claims.highest,
    });
    if (refused !== undefined) {
      this.#warn(new UnderstudyError(refused.code, refused.message, { hint: refused.hint }));
      incoming.answer(refused);
      return;
    }
    this.#greetings.set(incoming.session, { hello, incoming });
    this.#mailbox.post({
      kind: 'hello',
      peer: { agent: hello.agent, instance: hello.instance, session: incoming.session },
      peerAlive: peer.alive,
      whole: store.holds() !== null && this.#heldFrom === hello.instance,
    });
  }

  async #welcome(peer: Peer): Promise<void> {
    const greeting = this.#greetings.get(peer.session);
    this.#greetings.clear();
    if (greeting === undefined) return;
    const { hello, incoming } = greeting;
    await this.#session?.close();
    const { store, transport, clock, guestName, emit } = this.#parts;
    const settings: CodecSettings = {
      pageCount: store.ram.pageCount,
      blockBytes: hello.blockBytes,
      hash: hello.hash,
      secret: Buffer.from(hello.secret, 'hex'),
    };
    const about = { session: incoming.session, term: incoming.term };
    const protocol = commonProtocol(protocolsOf(hello))!;
    this.#control.enter(about, protocol);
    this.#session = await ReplicaSession.open({
      ...{ protocol, about, settings, store, transport, clock, guestName, emit },
      disks: this.#parts.disks,
      origin: this.#parts.origin,
      windowBytes: hello.windowBytes,
      onCommitted: (committed) => {
        const ramDigest = committed.ramDigest.toString(16).padStart(16, '0');
        const { epoch, pages, bytes, applyMs } = committed;
        const { session } = about;
        emit({ kind: 'commit', epoch, session, pages, bytes, applyMs, ramDigest });
        this.#parts.inputLog?.committed(epoch);
        this.#mailbox.post({ kind: 'committed', session, epoch });
      },
      // What came before the primary died is committed after it: a commit says nothing of it.
      onArrived: () => this.#parts.peer.heard(),
      onTerm: (number) => this.#control.raise(number),
      onOlderEpochGivenUp: () =>
        this.#mailbox.post({ kind: 'older-epoch-given-up', session: about.session }),
      onFailed: (error) => this.#onSessionError(about.session, error),
    });
    this.#parts.inputLog?.begin(incoming.session);
    this.#parts.peer.expect(peer.agent);
    incoming.answer(this.#session.welcome(this.#parts.agentId, hello.base));
  }

  /** The store is at its last whole epoch; the primary opens another session. */
  #onSessionError(session: SessionId, error: unknown): void {
    if (!isUnderstudyError(error)) {
      this.#crash(error);
      return;
    }
    this.#warn(error);
    this.#mailbox.post({ kind: 'epoch-failed', session, cause: `${error.code}: ${error.message}` });
  }

  /** Asks the record, which may be away. Not awaited: whoever greets meanwhile gets an answer. */
  #decide(ask: (signal: AbortSignal) => Promise<BackupEvent | undefined>): void {
    const { signal } = this.#ended;
    ask(signal).then(
      (event) => {
        if (event !== undefined && !signal.aborted) this.#mailbox.post(event);
      },
      (error: unknown) => {
        if (!signal.aborted) this.#crash(error);
      },
    );
  }

  #onSwitchoverRequest(incoming: Incoming): void {
    const { store, standby } = this.#parts;
    const session = this.#session;
    if (this.#state.name !== 'protecting' || session?.about.session !== incoming.session) {
      this.#handover.came(incoming);
      this.#handover.refuse(`it is ${this.#state.name}`);
      return;
    }
    answerReadiness(store, standby, session, incoming).catch((error: unknown) =>
      this.#crash(error),
    );
  }

  /** Does what may fail in a takeover, and says how it went. */
  async #attempt(failed: 'prepare-failed' | 'takeover-failed', work: () => Promise<BackupEvent>) {
    try {
      this.#mailbox.post(await work());
    } catch (error) {
      if (!isUnderstudyError(error)) {
        this.#crash(error);
        return;
      }
      const { code, message, hint } = error;
      this.#parts.emit({ kind: 'error', code, message, hint });
      this.#mailbox.post({ kind: failed, code });
    }
  }

  async #prepareGuest(): Promise<BackupEvent> {
    await this.#session?.close();
    await this.#resumption.prepare();
    return { kind: 'prepared' };
  }

  async #resumeGuest(): Promise<BackupEvent> {
    const { emit, peer, network, inputLog: log } = this.#parts;
    // Where its primary paused the guest for us, nobody heard what it does not know.
    const isPlanned = this.#state.name === 'taking-over' && this.#state.planned;
    network.connect(log?.toReplay.slice() ?? [], isPlanned ? undefined : log?.toldBefore);
    this.#isConnected = true;
    this.#parts.disks?.openToChanges();
    peer.rest();
    const lastHeardAtMs = this.#lastHeardAtMs;
    const times = { lastHeardAtMs, noticedAtMs: this.#noticedAtMs, term: this.#claim.term };
    const { guest, done, base } = await this.#resumption.resume(times);
    this.#guest = guest;
    this.#base = base;
    emit({ kind: 'takeover', ...done });
    this.#handover.accept(done.epoch);
    return { kind: 'resumed', epoch: done.epoch };
  }

  #announce(before: BackupState, state: BackupState, event: BackupEvent): void {
    const { emit, progress, peer } = this.#parts;
    const cause = causeOf(event);
    emit({ kind: 'state', role: 'backup', from: before.name, to: state.name, cause });
    if (state.name === 'waiting') peer.rest();
    if (state.name !== 'stopped') progress.show(activityOf[state.name]);
  }

  #warn(error: unknown): void {
    if (!isUnderstudyError(error)) {
      this.#crash(error);
      return;
    }
    const { code, message, hint } = error;
    this.#parts.emit({ kind: 'warning', code, message, hint });
  }

  /** A broken invariant: `run` throws it, and the process ends. */
  #crash(error: unknown): void {
    this.#fatal = error;
    this.#mailbox.close();
  }
}
