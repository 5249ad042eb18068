/**
 * The modes of the one engine, as what a key is where the file does not say; without an entry, its
 * own default. Whole pages are the one thing that has no key: `mode` itself says it. Imports nothing.
 */
export const modes = ['fgbi', 'remus', 'llm'] as const;

export type Mode = (typeof modes)[number];

/** Remus and LLM know pages only, send them as they are, and copy them in the pause. */
const pages = {
  'share.enabled': false,
  'compress.enabled': false,
  'compress.delta.enabled': false,
  'epoch.liveRounds': 0,
} as const;

const presets: Readonly<Record<Mode, Readonly<Record<string, unknown>>>> = {
  fgbi: {},
  remus: pages,
  llm: { ...pages, 'epoch.intervalMs': 2000, 'output.rule': 'input-log' },
};

/** What `key` is in `mode`; undefined where that is its own default. */
export function presetOf(mode: unknown, key: string): unknown {
  return isMode(mode) ? presets[mode][key] : undefined;
}

/** The same configuration with what `mode` presets, where it has those keys. */
export function withPresets<T extends object>(config: T, mode: Mode): T {
  const result = structuredClone(config) as Record<string, unknown>;
  for (const [key, value] of Object.entries(presets[mode])) {
    const path = key.split('.');
    const last = path.pop()!;
    let section: Record<string, unknown> | undefined = result;
    for (const name of path) section = section?.[name] as Record<string, unknown> | undefined;
    if (section !== undefined && Object.hasOwn(section, last)) section[last] = value;
  }
  return result as T;
}

const isMode = (value: unknown): value is Mode => modes.includes(value as Mode);
