/** Maps values to pixels, and picks round values to label. Imports nothing. */
export interface Scale {
  /** Pixels of a value. */
  at(value: number): number;
  readonly ticks: readonly number[];
}

/** From `low` to at least `high`, both ends on round values; `tickCount` is about right. */
export function linearScale(
  [low, high]: readonly [number, number],
  [from, to]: readonly [number, number],
  tickCount: number,
): Scale {
  const step = roundStep(Math.max(high - low, Number.EPSILON) / tickCount);
  const first = Math.floor(low / step) * step;
  const count = Math.max(1, Math.ceil((high - first) / step - 1e-9));
  const last = first + count * step;
  return {
    at: (value) => from + ((value - first) / (last - first)) * (to - from),
    // Steps are multiplied, not added up, so that 0.3 does not read 0.30000000000000004.
    ticks: Array.from({ length: count + 1 }, (_, i) => Number((first + i * step).toPrecision(12))),
  };
}

/** From `low` to `high` exactly, with round values in between labelled. */
export function tightScale(
  [low, high]: readonly [number, number],
  [from, to]: readonly [number, number],
  tickCount: number,
): Scale {
  const width = Math.max(high - low, Number.EPSILON);
  const { ticks } = linearScale([low, high], [from, to], tickCount);
  return {
    at: (value) => from + ((value - low) / width) * (to - from),
    ticks: ticks.filter((tick) => tick >= low && tick <= high),
  };
}

/** Powers of ten around what is above 0; values below the lowest of them are drawn on it. */
export function logScale(values: readonly number[], [from, to]: readonly [number, number]): Scale {
  const positive = values.filter((value) => value > 0);
  const [least, most] = positive.reduce(
    ([low, high], value) => [Math.min(low, value), Math.max(high, value)],
    [Number.POSITIVE_INFINITY, 1],
  );
  const first = Math.floor(Math.log10(Math.min(least, most)));
  const last = Math.max(first + 1, Math.ceil(Math.log10(most)));
  const ticks = Array.from({ length: last - first + 1 }, (_, i) => 10 ** (first + i));
  return {
    at: (value) => {
      const power = Math.max(first, Math.log10(Math.max(value, Number.MIN_VALUE)));
      return from + ((power - first) / (last - first)) * (to - from);
    },
    ticks,
  };
}

/** 1, 2 or 5 times a power of ten, not below `step`. */
function roundStep(step: number): number {
  const power = 10 ** Math.floor(Math.log10(step));
  const factor = [1, 2, 5, 10].find((candidate) => candidate * power >= step * (1 - 1e-9)) ?? 10;
  return factor * power;
}
