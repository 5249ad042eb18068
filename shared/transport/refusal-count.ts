import { UnderstudyError } from '../errors.ts';

/** Messages that were refused, by code: counted always, told when it begins and as it grows. */
export class RefusalCount {
  readonly #counts = new Map<string, number>();

  of(code: string): number {
    return this.#counts.get(code) ?? 0;
  }

  /** The error to tell of, with the count in its words; undefined where it need not be told. */
  note(error: UnderstudyError): UnderstudyError | undefined {
    const { code, message, hint, fields, cause } = error;
    const count = this.of(code) + 1;
    this.#counts.set(code, count);
    // Where a term changes, a message of the old one may still be under way.
    const least = code === 'E_FRAME_STALE' ? 10 : 1;
    if (count < least || !/^10*$/.test(String(count))) return undefined;
    const text = count === 1 ? message : `${message} (${count} so far)`;
    return new UnderstudyError(code, text, { hint, fields: { ...fields, count }, cause });
  }
}
