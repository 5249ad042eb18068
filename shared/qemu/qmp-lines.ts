import { UnderstudyError } from '../errors.ts';

/** Cuts a QMP byte stream into its JSON objects, one a line, whatever the chunks are. */
export class QmpLines {
  #held: Buffer[] = [];
  #heldBytes = 0;

  /**
   * The objects that `chunk` completes. Throws `E_QMP_PROTOCOL` for what is not a JSON object
   * and for a line above `qmpLineBytesMax`.
   */
  push(chunk: Buffer): Record<string, unknown>[] {
    const messages: Record<string, unknown>[] = [];
    let start = 0;
    for (;;) {
      const end = chunk.indexOf(newline, start);
      if (end < 0) break;
      this.#hold(chunk.subarray(start, end));
      const line = Buffer.concat(this.#held).toString('utf8').trim();
      this.#held = [];
      this.#heldBytes = 0;
      if (line !== '') messages.push(parse(line));
      start = end + 1;
    }
    this.#hold(chunk.subarray(start));
    return messages;
  }

  #hold(part: Buffer): void {
    this.#heldBytes += part.length;
    if (this.#heldBytes > qmpLineBytesMax) {
      throw notQmp(`a line of more than ${qmpLineBytesMax} bytes`);
    }
    if (part.length > 0) this.#held.push(part);
  }
}

/** The longest answers (schema, device tree) are below 1 MiB. */
export const qmpLineBytesMax = 4 * 2 ** 20;

const newline = 0x0a;

function parse(line: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw notQmp(line.slice(0, 80));
  }
  if (typeof value !== 'object' || value === null) throw notQmp(line.slice(0, 80));
  return value as Record<string, unknown>;
}

function notQmp(found: string): UnderstudyError {
  return new UnderstudyError('E_QMP_PROTOCOL', `the peer does not speak QMP: ${found}`, {
    hint: "Name QEMU's QMP socket, not a human monitor or another program's socket.",
    fields: { found },
  });
}
