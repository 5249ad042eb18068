import type { TimedEvent } from '../shared/observe/events.ts';

/**
 * Numbers out of the events of both agents, of the time in which the guest served its client;
 * null where nothing was measured.
 */
export interface Measurements {
  /** Of the whole run. */
  readonly epochs: { readonly captured: number; readonly acked: number };
  readonly pauseMs: {
    readonly p50: number | null;
    readonly p99: number | null;
    readonly max: number | null;
  };
  readonly ackLagMs: { readonly p50: number | null; readonly max: number | null };
  readonly dirtyPages: { readonly p50: number | null; readonly max: number | null };
  /** Epochs while the guest booted, before it served its client: not among the numbers above. */
  readonly startUp: {
    readonly epochs: number;
    readonly pauseMsMax: number | null;
    readonly wireBytes: number;
    readonly pageBytes: number;
  };
  readonly wire: {
    readonly bytes: number;
    readonly pageBytes: number;
    readonly ratio: number | null;
  };
  readonly sync: readonly {
    readonly pages: number;
    readonly bytes: number;
    readonly syncMs: number;
  }[];
  readonly failoverMs: FailoverMs | null;
  /** Each time the guest was protected again: for how long nobody could have taken it over. */
  readonly unprotectedMs: readonly number[];
}

/**
 * Type I downtime from the instant of the fault, as the drill knows it. The parts add up to
 * `total`; `service` is the instant of the first answer to a client.
 */
export interface FailoverMs {
  readonly detect: number;
  readonly decide: number;
  readonly load: number;
  readonly verify: number;
  readonly resume: number;
  readonly total: number;
  readonly service: number | null;
}

export type EventOf<K extends TimedEvent['kind']> = Extract<TimedEvent, { kind: K }>;

export const isKind =
  <K extends TimedEvent['kind']>(kind: K) =>
  (event: TimedEvent): event is EventOf<K> =>
    event.kind === kind;

export interface RunEvents {
  readonly primary: readonly TimedEvent[];
  readonly backup: readonly TimedEvent[];
  /** When the guest began to serve its client; undefined: from the start. */
  readonly servesFromMs: number | undefined;
  readonly killedAtMs: number | undefined;
  /** First answer to the client after the fault. */
  readonly servedAtMs: number | undefined;
}

export function measureRun(run: RunEvents): Measurements {
  const all = run.primary.filter(isKind('epoch'));
  const allAcks = run.primary.filter(isKind('ack'));
  const fromMs = run.servesFromMs ?? Number.NEGATIVE_INFINITY;
  const epochs = all.filter(({ pausedAtMs }) => pausedAtMs >= fromMs);
  const early = all.filter(({ pausedAtMs }) => pausedAtMs < fromMs);
  const acks = allAcks.filter(({ atMs }) => atMs >= fromMs);
  const pauses = epochs.map((event) => event.pauseMs);
  const lags = acks.map((event) => event.lagMs);
  const dirty = epochs.map((event) => event.dirtyPages);
  const bytes = sum(epochs.map((event) => event.wireBytes));
  const pageBytes = sum(epochs.map((event) => event.pageBytes));
  const takeover = run.backup.find(isKind('takeover'));
  return {
    epochs: { captured: all.length, acked: allAcks.length },
    pauseMs: {
      p50: quantile(pauses, 0.5),
      p99: quantile(pauses, 0.99),
      max: quantile(pauses, 1),
    },
    ackLagMs: { p50: quantile(lags, 0.5), max: quantile(lags, 1) },
    dirtyPages: { p50: quantile(dirty, 0.5), max: quantile(dirty, 1) },
    startUp: {
      epochs: early.length,
      pauseMsMax: quantile(
        early.map((event) => event.pauseMs),
        1,
      ),
      wireBytes: sum(early.map((event) => event.wireBytes)),
      pageBytes: sum(early.map((event) => event.pageBytes)),
    },
    wire: { bytes, pageBytes, ratio: pageBytes === 0 ? null : bytes / pageBytes },
    sync: run.primary
      .filter(isKind('sync'))
      .filter((event) => event.phase === 'done')
      .map(({ pages, bytes, syncMs }) => ({ pages, bytes, syncMs })),
    failoverMs: takeover === undefined ? null : measureFailover(run, takeover),
    unprotectedMs: [...run.primary, ...run.backup]
      .filter(isKind('reprotected'))
      .sort((a, b) => a.atMs - b.atMs)
      .map(({ unprotectedMs }) => unprotectedMs),
  };
}

/** The smallest value that `share` of all values do not exceed; null of none. */
export function quantile(values: readonly number[], share: number): number | null {
  if (values.length === 0) return null;
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)]!;
}

function measureFailover(run: RunEvents, takeover: EventOf<'takeover'>): FailoverMs | null {
  if (run.killedAtMs === undefined) return null;
  const { decide, load, verify, resume } = takeover.phasesMs;
  const total = takeover.atMs - run.killedAtMs;
  return {
    detect: total - decide - load - verify - resume,
    decide,
    load,
    verify,
    resume,
    total,
    service: run.servedAtMs === undefined ? null : run.servedAtMs - run.killedAtMs,
  };
}

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
