/** Sizes as people write them: a whole number and a binary unit. Imports nothing. */

const units = { B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40 } as const;
const sizePattern = /^(\d+) ?(B|KiB|MiB|GiB|TiB)$/;

export const sizePatternSource = sizePattern.source;
export const sizeExpected = 'a size with its unit, such as 512MiB (B, KiB, MiB, GiB, TiB)';

/** Bytes of `512MiB`; undefined where `value` is no size or too large to count exactly. */
export function parseSize(value: string): number | undefined {
  const match = sizePattern.exec(value);
  if (match === null) return undefined;
  const bytes = Number(match[1]) * units[match[2] as keyof typeof units];
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** The shortest exact way to write `bytes`: `512MiB`, `1536KiB`, `100B`. */
export function formatSize(bytes: number): string {
  const names = ['TiB', 'GiB', 'MiB', 'KiB'] as const;
  const unit = names.find((name) => bytes >= units[name] && bytes % units[name] === 0) ?? 'B';
  return `${bytes / units[unit]}${unit}`;
}

/** What somebody who wrote `512M`, `512 mb` or `512` probably meant; undefined if unclear. */
export function guessSize(value: string): string | undefined {
  const match = /^\s*(\d+)\s*([kmgt])?i?b?\s*$/i.exec(value);
  if (match === null) return undefined;
  const unit = match[2]?.toUpperCase();
  return unit === undefined ? undefined : `${Number(match[1])}${unit}iB`;
}
