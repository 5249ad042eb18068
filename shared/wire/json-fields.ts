import { bounds } from '../bounds.ts';
import { corruptBody } from './corrupt-body.ts';

/**
 * Reads the JSON body of a control message field by field; `what` names the message in errors.
 * Fields that nobody asks for are passed over, so that a later release may add some.
 * Throws `E_FRAME_CORRUPT` with the field's name, what was expected and what was found.
 */
export class JsonFields {
  readonly #value: Record<string, unknown>;
  readonly #what: string;

  constructor(value: unknown, what: string) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw corruptBody(`${what}: expected an object, found ${shown(value)}`);
    }
    this.#value = value as Record<string, unknown>;
    this.#what = what;
  }

  static parse(body: Uint8Array, what: string): JsonFields {
    if (body.byteLength > bounds.jsonBytesMax) {
      throw corruptBody(`${what}: ${body.byteLength} bytes of JSON are over the bound`);
    }
    let value: unknown;
    try {
      value = JSON.parse(utf8.decode(body));
    } catch {
      throw corruptBody(`${what}: not JSON in UTF-8`);
    }
    return new JsonFields(value, what);
  }

  /** True where the field is there: one that another release left out has a meaning of its own. */
  has(name: string): boolean {
    return this.#own(name) !== undefined;
  }

  text(name: string, lengthMax: number = bounds.textLengthMax): string {
    const value = this.#own(name);
    if (typeof value === 'string' && value.length <= lengthMax) return value;
    throw this.#wrong(name, `a text of at most ${lengthMax} characters`);
  }

  /** Lower-case hex digits of exactly `digits`. */
  hex(name: string, digits: number): string {
    const value = this.#own(name);
    const isHex = typeof value === 'string' && value.length === digits && /^[0-9a-f]+$/.test(value);
    if (isHex) return value;
    throw this.#wrong(name, `${digits} lower-case hex digits`);
  }

  integer(name: string, min: number, max: number): number {
    const value = this.#own(name);
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= min && value <= max) {
      return value;
    }
    throw this.#wrong(name, `a whole number from ${min} to ${max}`);
  }

  boolean(name: string): boolean {
    const value = this.#own(name);
    if (typeof value === 'boolean') return value;
    throw this.#wrong(name, 'true or false');
  }

  /** At most `countMax` whole numbers. */
  integers(name: string, min: number, max: number, countMax: number): number[] {
    const value = this.#own(name);
    const isFit = (each: unknown) =>
      Number.isSafeInteger(each) && Number(each) >= min && Number(each) <= max;
    if (Array.isArray(value) && value.length <= countMax && value.every(isFit)) return value;
    throw this.#wrong(name, `at most ${countMax} whole numbers from ${min} to ${max}`);
  }

  oneOf<const T extends string | number>(name: string, choices: readonly T[]): T {
    const value = this.#own(name);
    const choice = choices.find((each) => each === value);
    if (choice !== undefined) return choice;
    throw this.#wrong(name, `one of ${choices.join(', ')}`);
  }

  object(name: string): JsonFields {
    return new JsonFields(this.#own(name), `${this.#what}.${name}`);
  }

  objectOrNull(name: string): JsonFields | null {
    return this.#own(name) === null ? null : this.object(name);
  }

  #own(name: string): unknown {
    return Object.hasOwn(this.#value, name) ? this.#value[name] : undefined;
  }

  #wrong(name: string, expected: string) {
    const found = shown(this.#own(name));
    return corruptBody(`${this.#what}.${name}: expected ${expected}, found ${found}`);
  }
}

export const jsonBody = (value: object): Uint8Array =>
  new TextEncoder().encode(JSON.stringify(value));

const utf8 = new TextDecoder('utf-8', { fatal: true });

const shown = (value: unknown): string =>
  value === undefined ? 'nothing' : JSON.stringify(value).slice(0, 60);
