/** JetStream, as far as the record of terms needs it: one stream, one message for each subject. */
export class TermStream {
  /** No leader: nothing is answered. */
  away = false;
  readonly #messages: Stored[] = [];
  #frozenAt: number | undefined;

  /** Reads answer as a leader does that was deposed and does not know it yet. */
  set stale(stale: boolean) {
    this.#frozenAt = stale ? this.#messages.length : undefined;
  }

  get messages(): readonly Stored[] {
    return this.#messages;
  }

  /** The answer to a request or a conditional publish; undefined: none. */
  answer(
    subject: string,
    payload: Uint8Array,
    headers: Readonly<Record<string, string>>,
  ): Uint8Array | undefined {
    if (this.away) return undefined;
    const answer =
      subject === `$JS.API.STREAM.MSG.GET.${stream}`
        ? this.#get(JSON.parse(new TextDecoder().decode(payload)))
        : this.#put(subject, payload, headers);
    return new TextEncoder().encode(JSON.stringify(answer));
  }

  takes(subject: string): boolean {
    return subject.startsWith('$JS.API.') || subject.startsWith(termRoot);
  }

  #get({ last_by_subj: wanted }: { last_by_subj: string }): object {
    if (!wanted.endsWith('.*')) throw new Error(`the stream is asked for ${wanted}`);
    const prefix = wanted.slice(0, -1);
    const known = this.#messages.slice(0, this.#frozenAt);
    const found = known.reverse().find(({ subject }) => subject.startsWith(prefix));
    if (found === undefined) {
      return { error: { code: 404, err_code: 10037, description: 'no message found' } };
    }
    const { subject, seq, payload } = found;
    return { message: { subject, seq, data: Buffer.from(payload).toString('base64') } };
  }

  #put(subject: string, payload: Uint8Array, headers: Readonly<Record<string, string>>): object {
    const expected = headers['Nats-Expected-Last-Subject-Sequence'];
    if (expected !== '0') throw new Error('a term is published without its condition');
    const id = headers['Nats-Msg-Id']!;
    const same = this.#messages.find((each) => each.id === id);
    if (same !== undefined) return { stream, seq: same.seq, duplicate: true };
    const there = this.#messages.find((each) => each.subject === subject);
    if (there !== undefined) {
      const description = `wrong last sequence: ${there.seq}`;
      return { error: { code: 400, err_code: 10071, description } };
    }
    const seq = this.#messages.length + 1;
    this.#messages.push({ subject, seq, id, payload: payload.slice() });
    return { stream, seq };
  }
}

interface Stored {
  readonly subject: string;
  readonly seq: number;
  readonly id: string;
  readonly payload: Uint8Array;
}

const stream = 'UNDERSTUDY_TERMS';
const termRoot = 'understudy._term.';
