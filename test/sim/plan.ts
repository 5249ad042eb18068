import type { PaceLimits } from '../../primary/epoch-pace.ts';
import { bounds } from '../../shared/bounds.ts';
import { Random } from '../../shared/random.ts';
import type { RunSettings } from './host.ts';
import type { Weather } from './nats-server.ts';

/** All that one seed decides ahead; what it decides on the way is drawn from `random`. */
export interface Plan {
  readonly seed: number;
  /**
   * `one`: a single failure of a protected pair. `apart`: several, each after the pair was
   * protected again. `chaos`: several at any time: only what is promised then is judged.
   */
  readonly mode: 'one' | 'apart' | 'chaos';
  readonly faults: readonly Fault[];
  readonly settings: RunSettings;
  readonly weather: Weather;
  readonly random: Random;
}

export interface Fault {
  readonly kind: FaultKind;
  readonly host: 0 | 1;
  /** `one` and `apart`: after the pair was protected. `chaos`: after the start. */
  readonly afterMs: number;
  readonly lastsMs: number;
  /** A switchover is asked for so long before it. */
  readonly switchoverMs: number | undefined;
}

/** What can happen to a pair, by how often it is drawn. */
const shares = {
  /** Power is cut, and comes back. */
  crash: 4,
  /** Power is cut, and stays off till the end. */
  'crash-for-good': 1,
  'kill-agent': 4,
  /** SIGTERM; it is started again. */
  'stop-agent': 1,
  'kill-guest': 2,
  'kill-standby': 1,
  /** The whole machine stands still; its clock goes on. */
  'freeze-host': 4,
  /** And its clock stands still, too: a suspended virtual machine. */
  suspend: 2,
  'freeze-agent': 3,
  /** One event loop only: a long collection of garbage. */
  'stall-loop': 2,
  /** From NATS. */
  cut: 4,
  'cut-up': 3,
  'cut-down': 3,
  /** From NATS and from the clients. */
  isolate: 2,
  'nats-away': 2,
  'terms-away': 1,
  /** A leader of the record's stream that was deposed and does not know it yet answers. */
  'terms-stale': 1,
  'slow-disk': 1,
  'clock-jump': 1,
  'slow-network': 1,
  /** No fault, but it moves the guest. */
  switchover: 3,
  // Never drawn, but each in a test of its own (`restarts.test.ts`).
  /** The primary's host crashes, and agents that take the guest over are killed again and again. */
  'kill-takers': 0,
  /** The backup's agent is killed, and the primary's host crashes before it is back. */
  'crash-behind-restart': 0,
  /** By an operator, until it is over. */
  pause: 0,
} as const;

export type FaultKind = keyof typeof shares;

/** After these a guest that was not protected is lost, and a store that held one is, too. */
export const losesMemory: ReadonlySet<FaultKind> = new Set([
  'crash',
  'crash-for-good',
  'kill-guest',
  'kill-takers',
  'crash-behind-restart',
]);

/** `only`: a single failure of a protected pair, of this kind. */
export function planOf(seed: number, only?: FaultKind): Plan {
  const random = new Random(Math.imul(seed, 0x9e3779b1) ^ 0x5eed);
  const drawn = only === undefined ? random.unit() : 0;
  const mode = drawn < 0.35 ? 'one' : drawn < 0.55 ? 'apart' : 'chaos';
  const count = mode === 'one' ? 1 : mode === 'apart' ? 2 : 2 + random.below(5);
  const faults = Array.from({ length: count }, () => {
    const fault = drawFault(random, mode);
    return only === undefined ? fault : { ...fault, kind: only, switchoverMs: undefined };
  });
  if (mode === 'chaos') faults.sort((a, b) => a.afterMs - b.afterMs);
  return {
    ...{ seed, mode, faults },
    settings: drawSettings(random, faults),
    weather: drawWeather(random),
    random,
  };
}

function drawFault(random: Random, mode: Plan['mode']): Fault {
  let kind = drawKind(random);
  // For good is for good: what comes after it would be a second failure of one pair.
  if (mode !== 'one' && kind === 'crash-for-good') kind = 'crash';
  const host = random.below(2) as 0 | 1;
  const isShort = random.unit() < 0.5;
  const lastsMs = isShort ? 20 + random.unit() * 380 : 400 + random.unit() * 3000;
  const afterMs = mode === 'chaos' ? random.unit() * 3000 : random.unit() * 300;
  const switchoverMs = random.unit() < 0.2 ? random.unit() * 150 : undefined;
  return { kind, host, afterMs, lastsMs, switchoverMs };
}

function drawKind(random: Random): FaultKind {
  const kinds = Object.entries(shares) as [FaultKind, number][];
  let left = random.unit() * kinds.reduce((sum, [, share]) => sum + share, 0);
  for (const [kind, share] of kinds) {
    left -= share;
    if (left < 0) return kind;
  }
  return 'crash';
}

function drawSettings(random: Random, faults: readonly Fault[]): RunSettings {
  // Whoever is to stop without a backup stays so where one is lost for good.
  const mayStop = faults.every(({ kind }) => kind !== 'crash-for-good');
  return {
    onBackupLost: mayStop && random.unit() < 0.15 ? 'stop' : 'continue',
    pace: drawPace(random),
    silenceLimitMs: [200, 300][random.below(2)]!,
    windowBytes: bounds.windowBytesMin,
    verifyEveryEpochs: [0, 0, 7][random.below(3)]!,
    liveRounds: [0, 2, null][random.below(3)] ?? null,
    verifyAtTakeover: random.unit() < 0.5 ? 'full' : 'recorded',
    generalCodec: random.unit() < 0.5 ? 'lz4' : 'none',
  };
}

function drawPace(random: Random): PaceLimits {
  const intervalMs = [25, 50, 100][random.below(3)]!;
  if (random.unit() < 0.5) return { intervalMs, shortestMs: intervalMs, longestMs: intervalMs };
  return { intervalMs, shortestMs: 10, longestMs: 4 * intervalMs };
}

function drawWeather(random: Random): Weather {
  const isRough = random.unit() < 0.4;
  const delayMsMin = 0.05 + random.unit() * 0.5;
  return {
    lossRate: isRough ? random.unit() * 0.03 : 0,
    duplicateRate: isRough ? random.unit() * 0.03 : 0,
    corruptRate: isRough ? random.unit() * 0.02 : 0,
    delayMsMin,
    delayMsMax: delayMsMin + random.unit() * 2,
    lateRate: isRough ? random.unit() * 0.02 : 0,
    lateMsMax: 60,
    keepsOrder: !isRough || random.unit() < 0.6,
  };
}
