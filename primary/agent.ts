import type { KnownRam } from '../shared/codec/known-ram.ts';
import { isUnderstudyError } from '../shared/errors.ts';
import { type Epoch, type SessionId, sessionId } from '../shared/ids.ts';
import { Mailbox } from '../shared/mailbox.ts';
import { type About, ControlChannel, type Incoming } from '../shared/transport/control-channel.ts';
import type { InputLogMessage } from '../shared/wire/input-body.ts';
import { AgentVoice } from './agent-voice.ts';
import { verifyReplica } from './asked-verification.ts';
import { causeOf, guestWaits } from './cause.ts';
import { EpochTimer } from './epoch-timer.ts';
import { Greeter, type Refused, type Welcomed } from './greeter.ts';
import { isDeathOf, listenToGuest } from './guest-listener.ts';
import {
  initialPrimaryState,
  type PrimaryEffect,
  type PrimaryEvent,
  type PrimaryOutcome,
  type PrimaryState,
  stepPrimary,
} from './machine.ts';
import { DoubtedOutput } from './output/doubted-output.ts';
import type { PrimaryParts } from './parts.ts';
import { type AgreedSession, openSession } from './session/open-session.ts';
import type { Session } from './session/session.ts';
import { Switchover } from './switchover.ts';
import { TermHolder } from './term-holder.ts';
import { TermPursuit } from './term-pursuit.ts';
import { WaitingGuest } from './waiting-guest.ts';

/** Epochs captured and not acknowledged: one is applied while the next is taken. */
const epochsInFlightMax = 2;
const mailboxCapacity = 10_000;

/**
 * Runs the primary's state machine: posts what happens as events, executes effects. Everything
 * that touches the guest runs inside one task at a time.
 */
export class PrimaryAgent {
  readonly #parts: PrimaryParts;
  readonly #mailbox = new Mailbox<PrimaryEvent>(mailboxCapacity);
  readonly #control: ControlChannel;
  readonly #guest: WaitingGuest;
  readonly #output: DoubtedOutput;
  #state: PrimaryState = initialPrimaryState;
  readonly #greeter: Greeter;
  /** What the guest went on from, until the tracker is asked for the first time. */
  #base: KnownRam | undefined;
  #session: AgreedSession | undefined;
  /** The guest task under way, if any: it always leaves the guest running. */
  #task: Promise<void> = Promise.resolve();
  readonly #switchover: Switchover;
  readonly #terms: TermHolder;
  readonly #pursuit: TermPursuit;
  readonly #ended = new AbortController();
  readonly #timer: EpochTimer;
  readonly #voice: AgentVoice;
  #fatal: unknown = new Error('the mailbox closed before the agent finished');

  constructor(parts: PrimaryParts) {
    this.#output = new DoubtedOutput({ ...parts, look: () => this.#pursuit.lookForHigher() });
    this.#parts = { ...parts, output: this.#output };
    this.#base = parts.base;
    this.#guest = new WaitingGuest(parts.guest, parts.found);
    this.#control = new ControlChannel(parts.transport, parts.guest.name, 'primary');
    this.#terms = new TermHolder({ ...parts, guest: parts.guest.name });
    this.#pursuit = new TermPursuit({
      ...{ terms: this.#terms, ended: this.#ended.signal },
      post: (event) => this.#mailbox.post(event),
      onProtected: (session, term) => {
        if (this.#session?.id === session) this.#session.session?.enterTerm(term);
      },
      onBug: (error) => this.#crash(error),
    });
    this.#timer = new EpochTimer({
      ...{ clock: parts.clock, limits: parts.settings.pace },
      look: () => this.#look(),
      onDue: () => this.checkpointSoon(),
    });
    parts.inputLog?.connect((message) => {
      const about = this.#about;
      if (about !== undefined) this.#control.send(about, message);
    });
    this.#voice = new AgentVoice(parts, (error) => this.#crash(error));
    this.#greeter = new Greeter({
      ...{ ...parts, control: this.#control },
      isWanted: () => this.#state.name === 'joining',
      term: () => this.#terms.term,
      base: () => this.#base,
      onAnswer: (answer) => this.#onAnswer(answer),
      onLater: (error) => {
        this.#voice.warn(error);
        if (isUnderstudyError(error, 'E_TERM_OLD')) this.#pursuit.lookForHigher();
      },
    });
    this.#switchover = new Switchover({
      clock: parts.clock,
      control: this.#control,
      post: (event) => this.#mailbox.post(event),
      lookForHigher: () => this.#pursuit.lookForHigher(),
    });
  }

  /**
   * Protects the guest until something ends it. The guest runs on afterwards, except where the
   * outcome says otherwise; the caller detaches from it.
   */
  async run(stop: AbortSignal): Promise<PrimaryOutcome> {
    const { guest, guestPid: pid, emit, backup } = this.#parts;
    const post = (event: PrimaryEvent) => this.#mailbox.post(event);
    const onStop = () => post({ kind: 'stop' });
    stop.addEventListener('abort', onStop, { once: true });
    const releases = [
      listenToGuest(guest, {
        ...{ pid, emit, post },
        onReset: () => this.#session?.session?.baselineChanged(),
      }),
      backup.onSilent(() => this.#breakSession('the backup is silent')),
      this.#output.watch(),
    ];
    const listening = this.#control.listen(
      (incoming) => this.#onMessage(incoming),
      (error) => this.#voice.warn(error),
    );
    try {
      post({ kind: 'start' });
      if (stop.aborted) onStop();
      for (;;) {
        const event = await this.#mailbox.next();
        if (event === undefined) throw this.#fatal;
        const outcome = await this.#step(event);
        if (outcome !== undefined) return outcome;
      }
    } finally {
      this.#mailbox.close();
      this.#ended.abort(new Error('the agent has ended'));
      this.#timer.stop();
      stop.removeEventListener('abort', onStop);
      listening.unsubscribe();
      for (const release of releases) release();
      this.#session?.session?.close('the agent ends');
      await this.#task;
    }
  }

  /** Nothing of ours keeps the guest from running. */
  get guestRuns(): boolean {
    const { name } = this.#state;
    const stands = name === 'stopped' || name === 'handing-over' || 'waits' in this.#state;
    return this.#guest.hasRun && !stands;
  }

  get stateName(): PrimaryState['name'] {
    return this.#state.name;
  }

  /** An operator asks for something. */
  wish(kind: 'pause' | 'resume' | 'go-on'): void {
    this.#mailbox.post({ kind });
  }

  /** What the guest said waits for a checkpoint: one before its time would help. */
  checkpointSoon(): void {
    this.#mailbox.post({ kind: 'interval-passed' });
  }

  /** Compares the backup with the guest. Throws `E_VERIFY_UNPROTECTED`. */
  readonly verify = () => verifyReplica(this.#state.name, this.#session?.session);

  /** Moves the guest to the backup. Throws `E_SWITCHOVER_REFUSED`, `E_SWITCHOVER_ROLLED_BACK`. */
  async switchOver(): Promise<void> {
    await this.#switchover.run(this.#state, this.#about);
  }

  /** RAM of a guest that was handed over, as `Switchover.ramAsLeft`. */
  readonly ramAsLeft = () => this.#switchover.ramAsLeft();

  get #about(): About | undefined {
    const session = this.#session?.id;
    return session === undefined ? undefined : { session, term: this.#terms.term };
  }

  /** The guest said something that waits for the next checkpoint. */
  outputWaits(): void {
    this.#timer.outputWaits();
  }

  async #step(event: PrimaryEvent): Promise<PrimaryOutcome | undefined> {
    const before = this.#state;
    const { onBackupLost } = this.#parts.settings;
    const { state, effects } = stepPrimary(before, event, epochsInFlightMax, onBackupLost);
    this.#state = state;
    if (state.name !== before.name) {
      this.#voice.stateChanged(before, state, event);
      this.#switchover.moved(before, state, causeOf(event, state));
    }
    for (const effect of effects) {
      const outcome = await this.#execute(effect);
      if (outcome !== undefined) return outcome;
    }
    return undefined;
  }

  async #execute(effect: PrimaryEffect): Promise<PrimaryOutcome | undefined> {
    switch (effect.kind) {
      case 'claim-solo':
        this.#pursuit.claim({ mode: 'solo', keepsPause: effect.keepsPause });
        return undefined;
      case 'claim-paused':
        this.#pursuit.claim({ mode: 'paused' });
        return undefined;
      case 'claim-protected': {
        const { session, epoch: baseEpoch } = effect;
        this.#pursuit.claim({ mode: 'protected', session, baseEpoch });
        return undefined;
      }
      case 'release-output':
        this.#parts.output.acknowledged(effect.epoch);
        return undefined;
      case 'free-output':
        this.#parts.output.releaseAll();
        await this.#guest.letRun();
        this.#terms.guestRuns();
        return undefined;
      case 'drop-output':
        this.#parts.output.drop();
        return undefined;
      case 'greet':
        this.#greeter.seek().catch((error: unknown) => this.#crash(error));
        return undefined;
      case 'synchronise':
        this.#runTask(effect.session, async (session) => {
          const first = await session.synchronise();
          this.#parts.progress.captured(first);
        });
        return undefined;
      case 'start-interval':
      case 'start-first-interval':
        this.#timer.start(effect.kind === 'start-first-interval');
        return undefined;
      case 'checkpoint':
      case 'last-checkpoint': {
        const { session: id, epoch: number } = effect;
        const staysPaused = effect.kind === 'last-checkpoint';
        if (staysPaused) {
          this.#switchover.begun(id);
          this.#parts.handover?.begin();
        }
        this.#timer.covered();
        this.#runTask(id, async (session) => {
          await session.checkpoint(number, { staysPaused });
          this.#parts.progress.captured(number);
          // Nothing that may let it run touches a guest that is handed over.
          if (staysPaused) this.#switchover.stands(session, await session.known());
          else await session.room(number);
          this.#mailbox.post({ kind: 'published', session: id, epoch: number });
        });
        return undefined;
      }
      case 'hand-over': {
        const about = this.#about!;
        this.#switchover.handOver(about, effect.epoch);
        const send = (message: InputLogMessage) => this.#control.send(about, message);
        this.#parts.handover?.forward(effect.epoch, send);
        return undefined;
      }
      case 'close-session':
        this.#timer.stop();
        this.#session?.session?.close(effect.cause);
        this.#session = undefined;
        // A checkpoint that is being taken sets its barrier before the next session's first one.
        await this.#task;
        this.#parts.output.sessionEnded();
        return undefined;
      case 'stand-down': {
        await this.#task;
        await this.#leave();
        const about = { session: this.#session?.id ?? noSession, term: this.#terms.term };
        const { agentId: agent, transport } = this.#parts;
        this.#control.send(about, { kind: 'stand-down', agent, reason: effect.reason });
        await transport.flush().catch(() => {});
        return undefined;
      }
      case 'wait-for-backup':
        await this.#guest.wait();
        this.#voice.warn(guestWaits(this.#guest.name));
        return undefined;
      case 'end-wait':
        await this.#guest.goOn();
        return undefined;
      case 'stop-guest':
        await this.#task;
        if (!this.#guest.hasRun) await this.#parts.discardHeldGuest();
        else await this.#guest.pause();
        return undefined;
      case 'finish':
        return effect.outcome;
    }
  }

  /** Takes a term that lets the guest go on alone; one that stands still runs only with it. */
  async #leave(): Promise<void> {
    try {
      const left = await this.#terms.leaveProtection();
      if (left && this.#guest.hasRun) await this.#guest.letRun();
    } catch (error) {
      this.#voice.warn(error);
    }
  }

  /** One guest task after the other; an error ends its session, not the agent. */
  #runTask(id: SessionId, work: (session: Session) => Promise<void>): void {
    this.#task = this.#task.then(async () => {
      try {
        if (this.#session?.id !== id) return;
        await work(await this.#openSession(id));
      } catch (error) {
        if (!isUnderstudyError(error)) {
          this.#crash(error);
          return;
        }
        if (await isDeathOf(this.#guest, error)) return;
        // What a closed session still throws was announced by what closed it.
        if (this.#session?.id === id) this.#voice.warn(error);
        this.#mailbox.post({ kind: 'broken', session: id, cause: error.message });
      }
    });
  }

  /** Between two tasks; never settles where the session is over. */
  #look(): Promise<number | undefined> {
    const id = this.#session?.id;
    return new Promise((resolve) => {
      if (id !== undefined) this.#runTask(id, async (session) => resolve(await session.look()));
    });
  }

  /** A broken invariant: `run` throws it, and the process ends. */
  #crash(error: unknown): void {
    this.#fatal = error;
    this.#mailbox.close();
  }

  async #openSession(id: SessionId): Promise<Session> {
    const opening = this.#session!;
    if (opening.session !== undefined) return opening.session;
    this.#base = undefined;
    const { secret, base } = opening;
    const session = await openSession(this.#parts, {
      guest: this.#guest,
      about: { session: id, term: this.#terms.term },
      ...{ secret, base },
      control: this.#control,
      term: () => this.#terms.term,
      isWanted: () => this.#session === opening,
      onBroken: ({ message: cause }) => this.#mailbox.post({ kind: 'broken', session: id, cause }),
      onWarning: (error) => this.#voice.warn(error),
      onBarrier: () => this.#timer.covered(),
      onPaused: (taken) => this.#timer.paused(taken),
    });
    this.#session = { ...opening, session };
    return session;
  }

  #onAnswer(answer: Welcomed | Refused): void {
    if (answer.kind === 'welcomed') {
      const { session: id, secret, base, backupAgent } = answer;
      this.#session = { id, secret, base, session: undefined };
      this.#voice.repeat();
      this.#parts.backup.expect(backupAgent, id);
    }
    this.#mailbox.post(answer);
  }

  #onMessage({ session: about, message }: Incoming): void {
    if (about !== this.#session?.id) return;
    if (message.kind === 'ack') this.#onAck(about, message.epoch);
    else if (message.kind === 'input-logged') {
      const { isStillSure } = this.#output;
      if (isStillSure()) this.#parts.inputLog?.logged(message.sequence, isStillSure);
    } else if (message.kind === 'resync') this.#breakSession(message.reason);
  }

  #onAck(id: SessionId, number: Epoch): void {
    const { emit, progress } = this.#parts;
    const lagMs = this.#session?.session?.acknowledged(number);
    if (lagMs !== undefined) emit({ kind: 'ack', epoch: number, lagMs });
    progress.acked(number);
    if (number === 1) this.#mailbox.post({ kind: 'synchronised', session: id, epoch: number });
    else this.#mailbox.post({ kind: 'acked', session: id, epoch: number });
  }

  #breakSession(cause: string): void {
    const id = this.#session?.id;
    if (id !== undefined) this.#mailbox.post({ kind: 'broken', session: id, cause });
  }
}

const noSession = sessionId('0000000000000000');
