/** Numbers as people read them. Imports nothing. */

/** `1.94 ms`, `12.3 ms`, `1,234 ms`: three digits, as many as a measurement is worth. */
export const formatMs = (ms: number | null) => (ms === null ? '–' : `${digits(ms)} ms`);

/** `812 B`, `4.1 kB`, `45.3 MB`: powers of ten, as on a wire. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 ? Math.round(value) : digits(value)} ${units[unit]}`;
}

export const formatCount = (count: number) => Math.round(count).toLocaleString('en-US');

/** `4.2 %` of a share between 0 and 1. */
export const formatShare = (share: number | null) =>
  share === null ? '–' : `${digits(share * 100)} %`;

function digits(value: number): string {
  const size = Math.abs(value);
  if (size >= 100) return formatCount(value);
  return value.toFixed(size >= 10 ? 1 : 2);
}
