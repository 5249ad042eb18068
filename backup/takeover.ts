import type { Clock } from '../shared/clock.ts';
import type { KnownRam } from '../shared/codec/known-ram.ts';
import { UnderstudyError } from '../shared/errors.ts';
import type { Guest } from '../shared/guest/guest.ts';
import type { Epoch, SessionId, Term } from '../shared/ids.ts';
import type { TakeoverDone } from '../shared/observe/events.ts';
import type { ReplicaStore } from './store/replica-store.ts';
import type { StandbyProcess, WarmStandby } from './warm-standby.ts';

export interface TakeoverParts {
  readonly store: ReplicaStore;
  readonly standby: WarmStandby;
  readonly clock: Clock;
  readonly verifyAtTakeover: 'full' | 'recorded';
}

/** A standby that holds the epoch: only its vCPUs still stand still. */
export interface PreparedTakeover {
  readonly epoch: Epoch;
  readonly standby: StandbyProcess;
  /** What is known of the takeover so far. */
  readonly expected: string;
  readonly found: string | null;
  readonly session: SessionId;
  /** RAM that the guest will find. */
  readonly base: KnownRam;
  readonly loadMs: number;
  readonly verifyMs: number;
}

/**
 * Loads the standby with the epoch that the store holds. Nothing is received any more. Throws
 * `E_TAKEOVER_DIGEST` where RAM is not what the primary checkpointed: a guest with damaged memory
 * is not let loose.
 */
export async function prepareTakeover(parts: TakeoverParts): Promise<PreparedTakeover> {
  const { store, standby, clock } = parts;
  const startedAtMs = clock.nowMs();
  const held = await store.takeForTakeover();
  const expected = hex(held.ramDigest);
  const startVerifyMs = clock.nowMs();
  const found = parts.verifyAtTakeover === 'full' ? hex(await store.fullRamDigest()) : null;
  const verifiedAtMs = clock.nowMs();
  if (found !== null && found !== expected) {
    throw new UnderstudyError(
      'E_TAKEOVER_DIGEST',
      `RAM of epoch ${held.epoch} has digest ${found}, the primary's had ${expected}`,
      {
        hint: 'The replica is damaged and was not resumed. Check this host for memory errors.',
        fields: { epoch: held.epoch, expected, found },
      },
    );
  }
  const ready = await standby.take();
  await ready.load(held.baseline, held.deviceState);
  const loadedAtMs = clock.nowMs();
  const { epoch, session } = held;
  return {
    ...{ epoch, session, standby: ready, expected, found, base: held.known },
    loadMs: startVerifyMs - startedAtMs + (loadedAtMs - verifiedAtMs),
    verifyMs: verifiedAtMs - startVerifyMs,
  };
}

export interface Resumed {
  readonly guest: Guest;
  readonly done: TakeoverDone;
  /** RAM that the guest found. */
  readonly base: KnownRam;
}

export interface ResumeParts {
  readonly store: ReplicaStore;
  readonly clock: Clock;
  readonly term: Term;
  /** The primary's last sign of life, and when its silence was noticed or its wish heard. */
  readonly lastHeardAtMs: number;
  readonly noticedAtMs: number;
  readonly planned: boolean;
}

/**
 * Lets the prepared guest run. The term is won, and says from which epoch: whoever comes after this
 * process may resume that epoch once more until the store knows that the guest may have run.
 */
export async function resumePrepared(
  prepared: PreparedTakeover,
  parts: ResumeParts,
): Promise<Resumed> {
  const { store, clock, lastHeardAtMs, noticedAtMs, term, planned } = parts;
  const { epoch, session, standby, base, expected, found, loadMs, verifyMs } = prepared;
  const startedAtMs = clock.nowMs();
  store.letRun();
  const guest = await standby.resume();
  const resumedAtMs = clock.nowMs();
  const done: TakeoverDone = {
    ...{ epoch, session, term, planned, lastHeardAtMs },
    ramDigestExpected: expected,
    ramDigestFound: found,
    phasesMs: {
      detect: noticedAtMs - lastHeardAtMs,
      decide: startedAtMs - noticedAtMs - loadMs - verifyMs,
      load: loadMs,
      verify: verifyMs,
      resume: resumedAtMs - startedAtMs,
      total: resumedAtMs - lastHeardAtMs,
    },
    pid: standby.pid,
  };
  return { guest, done, base };
}

const hex = (digest: bigint): string => digest.toString(16).padStart(16, '0');
