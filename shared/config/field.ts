/**
 * How a key of a configuration file is described: what it holds, what it is for, why one would
 * change it, and what it is when the file does not say. The tables in `sections.ts` and
 * `guest-keys.ts` are made of these; types, defaults, validation, docs and the JSON Schema all
 * follow from them. Imports nothing.
 */
export type Field =
  | IntegerField
  | SizeField
  | FlagField
  | TextField
  | PathField
  | ChoiceField
  | ListField
  | GroupField;

interface Described {
  /** What the key is, as a sentence. */
  readonly what: string;
  /** Why one would change it, as a sentence; empty for a group. */
  readonly why: string;
  /** The value when the file does not say; `undefined`: the file has to say. */
  readonly fallback: unknown;
  /** True where null (or nothing behind the colon) is a value: what it means is in `what`. */
  readonly nullable: boolean;
}

export interface IntegerField extends Described {
  readonly kind: 'integer';
  readonly min: number;
  readonly max: number;
}

/** Written with a unit (`512MiB`), held in bytes. */
export interface SizeField extends Described {
  readonly kind: 'size';
  readonly min: number;
  readonly max: number;
  readonly multipleOf: number;
}

export interface FlagField extends Described {
  readonly kind: 'flag';
}

export interface TextField extends Described {
  readonly kind: 'text';
  readonly pattern: RegExp;
  /** What `pattern` means, for refusals: `1–63 of a–z, 0–9 and "-"`. */
  readonly expected: string;
}

/** A path of the file system; a relative one is relative to the configuration file. */
export interface PathField extends Described {
  readonly kind: 'path';
}

export interface ChoiceField extends Described {
  readonly kind: 'choice';
  readonly values: readonly (string | number)[];
}

export interface ListField extends Described {
  readonly kind: 'list';
  readonly item: Field;
  readonly countMin: number;
  readonly countMax: number;
}

export interface GroupField extends Described {
  readonly kind: 'group';
  readonly keys: Readonly<Record<string, Field>>;
  /** A word that may stand in place of the whole section. */
  readonly word?: { readonly text: string; readonly what: string };
}

declare const valueType: unique symbol;
/** A field that remembers, for the compiler only, the type of its value. */
export type Typed<T> = Field & { readonly [valueType]?: T };
export type ValueOf<F> = F extends { readonly [valueType]?: infer T } ? T : never;
type Keys = Readonly<Record<string, Typed<unknown>>>;
export type GroupValue<K extends Keys> = { readonly [P in keyof K]: ValueOf<K[P]> };

interface Texts {
  readonly what: string;
  readonly why: string;
}

export function integer(
  field: Texts & { min: number; max: number; fallback?: number },
): Typed<number> {
  return { kind: 'integer', nullable: false, fallback: undefined, ...field };
}

export function size(
  field: Texts & { min: number; max: number; multipleOf?: number; fallback?: number },
): Typed<number> {
  return { kind: 'size', nullable: false, fallback: undefined, multipleOf: 1, ...field };
}

export function flag(field: Texts & { fallback: boolean }): Typed<boolean> {
  return { kind: 'flag', nullable: false, ...field };
}

export function text(
  field: Texts & { fallback?: string; pattern?: RegExp; expected?: string },
): Typed<string> {
  const any = { pattern: /.*/s, expected: 'text' };
  return { kind: 'text', nullable: false, fallback: undefined, ...any, ...field };
}

export function path(field: Texts & { fallback?: string }): Typed<string> {
  return { kind: 'path', nullable: false, fallback: undefined, ...field };
}

export function choice<const V extends string | number>(
  values: readonly V[],
  field: Texts & { fallback?: NoInfer<V> },
): Typed<V> {
  return { kind: 'choice', nullable: false, fallback: undefined, values, ...field };
}

export function list<T>(
  item: Typed<T>,
  field: Texts & { countMin?: number; countMax?: number; fallback?: readonly T[] },
): Typed<readonly T[]> {
  const base = { kind: 'list', nullable: false, fallback: [], countMin: 0, countMax: 64 } as const;
  return { ...base, item, ...field };
}

export function group<K extends Keys>(what: string, keys: K): Typed<GroupValue<K>> & GroupField {
  return { kind: 'group', nullable: false, fallback: undefined, what, why: '', keys };
}

/** The same section, or one word in its place; `what` says what the word means. */
export function orWord<T, const W extends string>(
  field: Typed<T> & GroupField,
  text: W,
  what: string,
): Typed<T | W> & GroupField {
  return { ...field, word: { text, what } } as Typed<T | W> & GroupField;
}

/** The same key, absent (null) unless the file says otherwise. */
export function optional<T>(field: Typed<T>): Typed<T | null> {
  return { ...field, nullable: true, fallback: null } as Typed<T | null>;
}
