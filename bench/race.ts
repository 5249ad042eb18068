import { type MeasuredRow, median, type Unit } from './row.ts';

/** Something whose speed is compared with that of others in the same run. */
export interface Contender {
  readonly id: string;
  readonly what: string;
  readonly unit: Extract<Unit, 'GB/s' | 'pages/s'>;
  /** Measures for about `roundMs` and returns the rate in `unit`. */
  measure(roundMs: number): number | Promise<number>;
  /** The contender that this one is compared with. */
  readonly against?: string;
  readonly note?: string;
}

export interface RaceOptions {
  /** Rounds that count; one more goes ahead to warm up. */
  readonly rounds: number;
  readonly roundMs: number;
}

/**
 * Measures all contenders in turn, round after round, so that what else the machine does hits
 * them alike: a ratio is taken inside a round, and the median over the rounds counts. Each round
 * starts with another contender.
 */
export async function race(
  contenders: readonly Contender[],
  options: RaceOptions,
): Promise<MeasuredRow[]> {
  const rates = new Map<string, number[]>(contenders.map(({ id }) => [id, []]));
  for (const contender of contenders) await contender.measure(options.roundMs / 2);
  for (let round = 0; round < options.rounds; round++) {
    for (let turn = 0; turn < contenders.length; turn++) {
      const contender = contenders[(round + turn) % contenders.length]!;
      rates.get(contender.id)!.push(await contender.measure(options.roundMs));
    }
  }
  return contenders.map(({ id, what, unit, against, note }) => {
    return {
      ...{ id, what, unit, values: rates.get(id)! },
      ...(against === undefined ? {} : { against: ratiosTo(against, rates, id) }),
      ...(note === undefined ? {} : { note }),
    };
  });
}

function ratiosTo(against: string, rates: ReadonlyMap<string, readonly number[]>, id: string) {
  const others = rates.get(against);
  if (others === undefined) throw new Error(`no contender ${against}`);
  return { id: against, ratios: rates.get(id)!.map((rate, i) => rate / others[i]!) };
}

/** A call that took three times the median was interrupted: it says nothing about the code. */
function withoutInterrupted(callMs: readonly number[]): readonly number[] {
  const limitMs = 3 * median(callMs);
  return callMs.filter((ms) => ms <= limitMs);
}

/**
 * A contender out of a function that does `work` units (bytes for GB/s) a call: repeats it until
 * `roundMs` are over. A call should take less than a time slice (a millisecond or so), and all
 * calls about the same. `prepare` runs before each call and is not counted.
 */
export function repeated(
  contender: Omit<Contender, 'measure'> & {
    readonly work: number;
    readonly run: () => unknown;
    readonly prepare?: () => void;
    readonly nowMs?: () => number;
  },
): Contender {
  const { work, run, prepare, nowMs = () => performance.now(), ...rest } = contender;
  const scale = rest.unit === 'GB/s' ? 1e9 : 1;
  const measure = (roundMs: number): number => {
    const callMs: number[] = [];
    for (let roundSpentMs = 0; roundSpentMs < roundMs; ) {
      prepare?.();
      const startedAtMs = nowMs();
      run();
      const tookMs = nowMs() - startedAtMs;
      roundSpentMs += tookMs;
      callMs.push(tookMs);
    }
    const counted = withoutInterrupted(callMs);
    const spentMs = counted.reduce((sum, ms) => sum + ms, 0);
    return ((work * counted.length) / scale / spentMs) * 1000;
  };
  return { ...rest, measure };
}
