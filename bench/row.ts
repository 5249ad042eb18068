/**
 * One line of a benchmark's table. A row holds every single value, so that a reader of the JSON
 * can compute what he likes; the page shows the median and the spread.
 */
export type Row = MeasuredRow | MissingRow;

export interface MeasuredRow {
  /** Stable name, for example `hash.xxh3-batch`; targets refer to it. */
  readonly id: string;
  /** What was measured, as a reader sees it. */
  readonly what: string;
  readonly unit: Unit;
  /** One value a run, in the order of the runs. Never empty. */
  readonly values: readonly number[];
  /** Compared with another row of the same run: this value over that one, run by run. */
  readonly against?: Comparison;
  /** Conditions that belong to this row alone. */
  readonly note?: string;
}

/** Something that could not be measured here, and why. Never a number in its place. */
export interface MissingRow {
  readonly id: string;
  readonly what: string;
  readonly notRun: string;
}

export interface Comparison {
  /** The other row. */
  readonly id: string;
  readonly ratios: readonly number[];
}

export type Unit = 'GB/s' | 'pages/s' | 'ms' | 'µs' | 'MiB' | 'pages' | 'share';

export const isMeasured = (row: Row): row is MeasuredRow => 'values' in row;

/** How `row` stands to `other`, run by run; both must be of one race. */
export function compareRows(row: MeasuredRow, other: MeasuredRow): Comparison {
  if (row.values.length !== other.values.length) throw new Error('rows of two races');
  return { id: other.id, ratios: row.values.map((value, i) => value / other.values[i]!) };
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** NaN for no values. */
export function mean(values: readonly number[]): number {
  return values.reduce((sum, one) => sum + one, 0) / values.length;
}

/** The value below which `share` of the values lie, interpolated. Throws for none. */
export function quantile(values: readonly number[], share: number): number {
  if (values.length === 0) throw new Error('a quantile of no values');
  const sorted = [...values].sort((a, b) => a - b);
  const at = (sorted.length - 1) * share;
  const low = sorted[Math.floor(at)]!;
  const high = sorted[Math.ceil(at)]!;
  return low + (high - low) * (at - Math.floor(at));
}
