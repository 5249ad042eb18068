import { setTimeout as sleep } from 'node:timers/promises';
import { monotonicClock } from '../../shared/clock.ts';
import type { Check } from '../check.ts';
import { stepError } from '../drill-error.ts';
import {
  type GuestIdentity,
  isSameLife,
  lifeChecks,
  readGuestIdentity,
  waitForIdentity,
} from './guest-identity.ts';
import {
  checkSequence,
  type ResumedPause,
  readFoundWrites,
  type SequenceVerdict,
} from './sequence-check.ts';
import { writesKey } from './sequence-history.ts';
import { SequenceWriter } from './sequence-writer.ts';
import { connectStore, type StoreClient, withDeadline } from './store-connection.ts';
import type { Testimony, Witness } from './witness.ts';

const slotCount = 1000;
const writesPerSecond = 250;
const answerMs = 20_000;

export interface StoreWitnessOptions {
  /** Ports of this machine that lead to the guest's Redis on either side. */
  readonly primaryPort: number;
  readonly backupPort: number;
  /** How long the guest's service may take to answer, while booting and after the takeover. */
  readonly deadlineMs: number;
  /** How long the guest is watched after the takeover. */
  readonly watchMs: number;
  readonly signal: AbortSignal;
}

/** Uses the lab guest's Redis as a client would. */
export class StoreWitness implements Witness {
  readonly #options: StoreWitnessOptions;
  #client: StoreClient | undefined;
  #writer: SequenceWriter | undefined;
  #before: GuestIdentity | undefined;

  constructor(options: StoreWitnessOptions) {
    this.#options = options;
  }

  async begin(): Promise<void> {
    const { primaryPort, deadlineMs, signal } = this.#options;
    this.#client = await connectStore(onLoopback(primaryPort), deadlineMs, signal);
    this.#before = await waitForIdentity(this.#client, deadlineMs, signal);
    this.#writer = this.#startWriter(
      await connectStore(onLoopback(primaryPort), deadlineMs, signal),
    );
  }

  rest(isResting: boolean): void {
    this.#started().rest(isResting);
  }

  async beforeFault(): Promise<void> {
    const { brokenBy } = this.#started();
    if (brokenBy !== undefined) throw stepError(`the guest failed its client: ${brokenBy}`);
    const before = this.#before;
    const now = await readGuestIdentity(this.#client!, answerMs);
    if (before === undefined || !isSameLife(before, now)) {
      throw stepError('the guest changed its identity before the fault');
    }
  }

  async examine(pause: ResumedPause | undefined): Promise<Testimony> {
    const { history } = this.#started();
    await this.end();
    const { backupPort, deadlineMs, watchMs, signal } = this.#options;
    const client = await connectStore(onLoopback(backupPort), deadlineMs, signal);
    const servedAtMs = monotonicClock.nowMs();
    this.#client = client;
    const first = await readGuestIdentity(client, answerMs);
    const found = await readFoundWrites(client, slotCount, answerMs);
    await withDeadline(client.del(writesKey), answerMs);
    this.#writer = this.#startWriter(
      await connectStore(onLoopback(backupPort), deadlineMs, signal),
    );
    const after = this.#writer;
    await sleep(watchMs, undefined, { signal });
    const last = await readGuestIdentity(client, answerMs);
    const served = { acked: after.history.lastAckedBefore(Number.POSITIVE_INFINITY), after };
    await this.end();

    const lastKnown = pause === undefined ? 0 : history.lastAckedBefore(pause.pausedAtMs);
    const counterBefore = history.guestCounter[lastKnown - 1] ?? this.#before!.counter;
    const life = lifeChecks(this.#before!, first, last, counterBefore);
    const verdict = pause && checkSequence(history, pause, found);
    const writes: Check = {
      name: 'service-writes',
      ok: served.after.brokenBy === undefined && served.acked > 0,
      detail:
        served.after.brokenBy ?? `${served.acked} writes acknowledged in ${watchMs} ms afterwards`,
    };
    return {
      checks: [...life, ...sequenceChecks(verdict, found.count, history.sent), writes],
      guestContinued: life.every((check) => check.ok),
      dataLost: verdict?.dataLost ?? null,
      unprotectedWrites: verdict?.unprotectedWrites ?? null,
      servedAtMs,
      client: null,
    };
  }

  /** What it writes after a takeover is counted anew: it does not say. */
  async acknowledged(): Promise<null> {
    return null;
  }

  async end(): Promise<void> {
    await this.#writer?.stop();
    this.#writer = undefined;
    if (this.#client?.isOpen) this.#client.destroy();
    this.#client = undefined;
  }

  #started(): SequenceWriter {
    if (this.#writer === undefined) throw new Error('the witness has not begun');
    return this.#writer;
  }

  #startWriter(client: StoreClient): SequenceWriter {
    return new SequenceWriter({ client, writesPerSecond, slotCount });
  }
}

const onLoopback = (port: number) => ({ host: '127.0.0.1', port });

function sequenceChecks(
  verdict: SequenceVerdict | undefined,
  foundCount: number,
  sent: number,
): Check[] {
  if (verdict === undefined) return [];
  const { dataLost, lastProtected, wrongSlots, fromLater, unprotectedWrites } = verdict;
  return [
    {
      name: 'no-data-lost',
      ok: dataLost === 0 && lastProtected > 0,
      detail:
        `${dataLost} of ${lastProtected} writes acknowledged before the checkpoint are gone; ` +
        `${unprotectedWrites} acknowledged after it are`,
    },
    {
      name: 'state-is-one-instant',
      ok: wrongSlots === 0 && fromLater === 0,
      detail:
        `the store holds the first ${foundCount} of ${sent} writes sent: ${wrongSlots} slots ` +
        `differ from that, ${fromLater} writes are from after the checkpoint`,
    },
  ];
}
