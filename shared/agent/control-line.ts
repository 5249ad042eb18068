import { bounds } from '../bounds.ts';
import { UnderstudyError } from '../errors.ts';

/**
 * What an operator's command and an agent say to each other on the agent's socket: UTF-8, one
 * JSON object a line, an answer for each request, in order.
 *
 *   request   {"version":1,"command":"status"}
 *   answer    {"version":1,"ok":true,"result":…}
 *             {"version":1,"ok":false,"code":"E_…","message":"…","hint":"…"}
 */

export type ControlAnswer =
  | { readonly ok: true; readonly result: unknown }
  | { readonly ok: false; readonly code: string; readonly message: string; readonly hint: string };

/** What an agent does when it is asked. Expected failures are thrown as `UnderstudyError`. */
export type ControlCommands = Readonly<Record<string, () => Promise<unknown>>>;

export const requestLine = (command: string): string => `${JSON.stringify({ version, command })}\n`;

/**
 * The answer to one request, as a line. A command that is not done after `commandMs` goes on;
 * the answer is `E_COMMAND_PENDING` then. What is no expected failure is thrown.
 */
export async function answerLine(line: string, commands: ControlCommands): Promise<string> {
  try {
    const run = commandOf(line, commands);
    return `${JSON.stringify({ version, ok: true, result: await inTime(run()) })}\n`;
  } catch (error) {
    if (error instanceof UnderstudyError) return refusalLine(error);
    throw error;
  }
}

export function refusalLine({ code, message, hint }: UnderstudyError): string {
  return `${JSON.stringify({ version, ok: false, code, message, hint })}\n`;
}

/** Throws `E_CONTROL_ANSWER` where `line` is no answer of this version. */
export function parseAnswer(line: string): ControlAnswer {
  const found = parseObject(line);
  if (found?.version !== version) {
    throw badAnswer(`its version is ${String(found?.version)}, not ${version}`);
  }
  if (found.ok === true) return { ok: true, result: found.result };
  const { ok, code, message, hint } = found;
  const isRefusal = [code, message, hint].every((text) => typeof text === 'string');
  if (ok !== false || !isRefusal) throw badAnswer('it is neither a result nor a refusal');
  return { ok, code: String(code), message: String(message), hint: String(hint) };
}

/** Bytes as they come, lines as they are complete, none longer than `lineBytesMax`. */
export class LineSplitter {
  readonly #lineBytesMax: number;
  #begun: Buffer = Buffer.alloc(0);

  constructor(lineBytesMax: number) {
    this.#lineBytesMax = lineBytesMax;
  }

  /** Throws `E_CONTROL_LINE` where a line is too long; what follows it is lost then. */
  push(bytes: Uint8Array): string[] {
    const lines: string[] = [];
    let rest = Buffer.concat([this.#begun, bytes]);
    for (let end = rest.indexOf(lineBreak); end >= 0; end = rest.indexOf(lineBreak)) {
      this.#check(end);
      lines.push(rest.toString('utf8', 0, end));
      rest = rest.subarray(end + 1);
    }
    this.#check(rest.length);
    this.#begun = rest;
    return lines;
  }

  #check(lengthBytes: number): void {
    if (lengthBytes <= this.#lineBytesMax) return;
    const message = `a line on the control socket is longer than ${this.#lineBytesMax} bytes`;
    throw new UnderstudyError('E_CONTROL_LINE', message, { hint: sameRelease });
  }
}

const version = 1;
const lineBreak = 0x0a;
const sameRelease = 'Use the `understudy` command of the release that the agent is of.';

function commandOf(line: string, commands: ControlCommands): () => Promise<unknown> {
  const found = parseObject(line);
  const bad = (why: string) =>
    new UnderstudyError('E_CONTROL_REQUEST', `the agent was not asked rightly: ${why}`, {
      hint: sameRelease,
    });
  if (found === undefined) throw bad('not a JSON object');
  if (found.version !== version) {
    throw bad(`version ${String(found.version)}, and the agent knows ${version}`);
  }
  const { command } = found;
  if (typeof command === 'string' && Object.hasOwn(commands, command)) return commands[command]!;
  throw bad(`it has no command ${JSON.stringify(command)} (${Object.keys(commands).join(', ')})`);
}

async function inTime(result: Promise<unknown>): Promise<unknown> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(pending()), bounds.commandMs);
  });
  try {
    return await Promise.race([result, late]);
  } finally {
    clearTimeout(timer);
  }
}

function pending(): UnderstudyError {
  const seconds = bounds.commandMs / 1000;
  return new UnderstudyError('E_COMMAND_PENDING', `not decided yet after ${seconds} s`, {
    hint: 'The agent goes on trying; `understudy status` says what it waits for.',
  });
}

function parseObject(line: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
    return isObject ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

function badAnswer(why: string): UnderstudyError {
  const message = `what answers on the control socket is no agent of this release: ${why}`;
  return new UnderstudyError('E_CONTROL_ANSWER', message, { hint: sameRelease });
}
