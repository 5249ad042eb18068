import type { Unit } from './row.ts';

/** A value for people: three digits that count, thousands apart. */
export function formatValue(value: number, unit: Unit): string {
  return unit === 'share' ? formatDigits(value) : `${formatDigits(value)} ${unit}`;
}

export function formatRatio(ratio: number): string {
  return formatDigits(ratio);
}

function formatDigits(value: number): string {
  const size = Math.abs(value);
  if (size >= 1000) return Math.round(value).toLocaleString('en-US');
  if (size >= 100) return value.toFixed(0);
  if (size >= 10) return value.toFixed(1);
  if (size >= 1) return value.toFixed(2);
  return value.toFixed(3);
}
