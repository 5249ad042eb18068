import { setTimeout as sleep } from 'node:timers/promises';
import { monotonicClock } from '../../shared/clock.ts';
import type { Check } from '../check.ts';
import { ClientProcess, type ClientReport } from '../client/client-process.ts';
import { stepError } from '../drill-error.ts';
import type { Turn } from '../holders.ts';
import { type FrameVerdict, FrameWatch, judgeFrames } from '../network/frame-watch.ts';
import { guestAddress, type LabNetwork } from '../network/lab-network.ts';
import type { RunFolder } from '../run-folder.ts';
import { type GuestIdentity, lifeChecks } from './guest-identity.ts';
import type { Stretch, Testimony, Witness } from './witness.ts';

const pollMs = 20;
const wholeDrill: Stretch = { name: 'all', fromMs: 0, toMs: Number.MAX_VALUE };

export interface NetworkWitnessOptions {
  readonly network: LabNetwork;
  readonly folder: RunFolder;
  /** The hosts that were to run the guest, one after the other. */
  readonly turns: () => Turn[];
  readonly deadlineMs: number;
  readonly watchMs: number;
  readonly signal: AbortSignal;
}

/**
 * Uses the lab guest from a host of its own, over two connections that are to survive whatever
 * happens, while tcpdump watches which host speaks for it.
 */
export class NetworkWitness implements Witness {
  readonly #options: NetworkWitnessOptions;
  #client: ClientProcess | undefined;
  #watch: FrameWatch | undefined;
  #before: GuestIdentity | undefined;
  #faultAtMs = 0;

  constructor(options: NetworkWitnessOptions) {
    this.#options = options;
  }

  async begin(): Promise<void> {
    const { network, folder, deadlineMs, signal } = this.#options;
    signal.throwIfAborted();
    this.#watch = await FrameWatch.start(network, folder.path);
    const client = new ClientProcess(network.client, folder.mark);
    this.#client = client;
    // It waits for the guest on its own.
    signal.addEventListener('abort', () => client.kill(), { once: true });
    this.#before = (await client.begin(guestAddress, deadlineMs)).identity;
  }

  async beforeFault(): Promise<void> {
    const { storeBrokenBy, downloadBrokenBy } = await this.#started().look();
    const broken = storeBrokenBy ?? downloadBrokenBy;
    if (broken !== null) throw stepError(`the guest failed its client: ${broken}`);
    this.#faultAtMs = monotonicClock.nowMs();
  }

  async acknowledged(): Promise<number> {
    return (await this.#started().look()).acked;
  }

  async examine(_pause: unknown, stretches?: readonly Stretch[]): Promise<Testimony> {
    const { watchMs, signal } = this.#options;
    const client = this.#started();
    await this.#waitForAnswer(monotonicClock.nowMs());
    await sleep(watchMs, undefined, { signal });
    const report = await client.finish(guestAddress, stretches ?? [wholeDrill]);
    const seen = (await this.#watch?.finish()) ?? [];
    const turns = this.#options.turns();
    const frames = judgeFrames(seen, turns, Date.now() - monotonicClock.nowMs());
    const { identity, last, counterSeen, verdict, gaps } = report;
    const faultGap = gaps.find(({ toMs }) => toMs > this.#faultAtMs);
    const life = lifeChecks(this.#before!, identity, last, counterSeen);
    const connectionsBroken = [
      report.storeBrokenBy !== null || report.unanswered > 0,
      report.downloadBrokenBy !== null || report.downloadedBytes === 0,
    ].filter((isBroken) => isBroken).length;
    return {
      checks: [...life, ...clientChecks(report, connectionsBroken), frameCheck(frames, turns)],
      guestContinued: life.every((check) => check.ok),
      dataLost: verdict.dataLost,
      unprotectedWrites: verdict.unprotectedWrites,
      servedAtMs: faultGap?.toMs ?? null,
      client: {
        acknowledged: report.acked,
        connectionsBroken,
        framesSeen: frames.seen,
        framesFromTwoCopies: frames.fromTwoCopies,
        longestGapMs: gaps[0] === undefined ? null : gaps[0].toMs - gaps[0].fromMs,
        faultGapMs: faultGap === undefined ? null : faultGap.toMs - faultGap.fromMs,
        latency: report.latency,
        downloadedBytes: report.downloadedBytes,
        downloadGapMs: report.downloadGapMs,
      },
    };
  }

  async end(): Promise<void> {
    this.#client?.kill();
    this.#watch?.kill();
  }

  #started(): ClientProcess {
    if (this.#client === undefined) throw new Error('the witness has not begun');
    return this.#client;
  }

  /** Throws `E_DRILL_STEP` where the guest answers nothing that was asked after `sinceMs`. */
  async #waitForAnswer(sinceMs: number): Promise<void> {
    const { deadlineMs, signal } = this.#options;
    const endAtMs = performance.now() + deadlineMs;
    for (;;) {
      const { lastAckedAtMs, storeBrokenBy } = await this.#started().look();
      if (storeBrokenBy !== null) throw stepError(`the client's connection: ${storeBrokenBy}`);
      if (lastAckedAtMs !== null && lastAckedAtMs > sinceMs) return;
      if (performance.now() > endAtMs) throw stepError('the guest answers its client no more');
      await sleep(pollMs, undefined, { signal });
    }
  }
}

function clientChecks(report: ClientReport, connectionsBroken: number): Check[] {
  const { verdict, acked, sent, found, unanswered, storeBrokenBy, downloadBrokenBy } = report;
  const lost = verdict.dataLost + verdict.unprotectedWrites;
  return [
    {
      name: 'no-acknowledged-write-lost',
      ok: lost === 0 && acked > 0,
      detail: `${lost} of ${acked} acknowledged writes are gone`,
    },
    {
      name: 'state-is-one-instant',
      ok: verdict.wrongSlots === 0,
      detail:
        `the store holds the first ${found} of ${sent} writes sent: ${verdict.wrongSlots} slots ` +
        'differ from that',
    },
    {
      name: 'connections-survive',
      ok: connectionsBroken === 0,
      detail:
        `${connectionsBroken} of 2 connections broke` +
        (storeBrokenBy === null ? '' : `; the store's: ${storeBrokenBy}`) +
        (unanswered === 0 ? '' : `; ${unanswered} writes were never answered`) +
        (downloadBrokenBy === null ? '' : `; the download: ${downloadBrokenBy}`),
    },
  ];
}

function frameCheck({ seen, fromTwoCopies }: FrameVerdict, turns: readonly Turn[]): Check {
  return {
    name: 'one-copy-speaks',
    ok: seen > 0 && fromTwoCopies === 0,
    detail:
      `tcpdump at the switch saw ${seen} frames of the guest, by turns from host ` +
      `${turns.map(({ host }) => host).join(', ')}; ${fromTwoCopies} from a copy whose turn was over`,
  };
}
