import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readlinkSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { ExecutionContext } from 'ava';

/**
 * A network namespace for one test. It has no name and is held by a process, which ends with the
 * test's: nothing is left behind, however the test ends.
 */
export class Namespace {
  readonly #t: ExecutionContext;
  readonly #holder: ChildProcess;

  static async create(t: ExecutionContext): Promise<Namespace> {
    const dieWithTest = ['setpriv', '--pdeathsig', 'KILL', '--'];
    const holder = spawn(dieWithTest[0]!, [
      ...dieWithTest.slice(1),
      ...['unshare', '--net', '--', 'sleep', 'infinity'],
    ]);
    t.teardown(() => endedBy(holder));
    const ours = readlinkSync('/proc/self/ns/net');
    for (let tries = 0; readNamespace(holder) === ours; tries++) {
      if (tries === 6000 || holder.exitCode !== null) throw new Error('no namespace: needs root');
      await sleep(10);
    }
    const namespace = new Namespace(t, holder);
    namespace.ip('link set lo up');
    return namespace;
  }

  private constructor(t: ExecutionContext, holder: ChildProcess) {
    this.#t = t;
    this.#holder = holder;
  }

  get pid(): number {
    return this.#holder.pid!;
  }

  /** Runs `ip` in the namespace; words are separated by blanks. */
  ip(words: string): string {
    return execFileSync('nsenter', [...this.#enter(), 'ip', ...words.split(' ')], {
      encoding: 'utf8',
    });
  }

  /** Runs a line of shell in the namespace. */
  run(line: string): string {
    return execFileSync('nsenter', [...this.#enter(), 'bash', '-c', line], { encoding: 'utf8' });
  }

  /** Starts a module of the tests in the namespace, with a channel for messages. */
  fork(module: URL, args: readonly string[] = [], before: readonly string[] = []): Process {
    const command = [...before, process.execPath, fileURLToPath(module), ...args];
    const child = spawn('nsenter', [...this.#enter(), ...command], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    this.#t.teardown(() => endedBy(child));
    return new Process(child);
  }

  #enter(): string[] {
    return [`--net=/proc/${this.pid}/ns/net`, '--'];
  }
}

/** A module that runs in a namespace. It answers each message with one of its own, in order. */
export class Process {
  readonly #child: ChildProcess;
  readonly #answers: unknown[] = [];
  #wake = () => {};

  constructor(child: ChildProcess) {
    this.#child = child;
    child.on('message', (message) => {
      this.#answers.push(message);
      this.#wake();
    });
    child.on('exit', () => this.#wake());
  }

  async ask<T>(message: unknown): Promise<T> {
    this.#child.send(message as object);
    return await this.next<T>();
  }

  /** The next message that it says by itself. */
  async next<T>(): Promise<T> {
    while (this.#answers.length === 0) {
      if (this.#child.exitCode !== null || this.#child.signalCode !== null) {
        throw new Error('the process ended');
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.#answers.shift() as T;
  }

  async kill(): Promise<void> {
    await endedBy(this.#child);
  }
}

/** Kills it and waits for its end. */
async function endedBy(child: ChildProcess): Promise<void> {
  const hasEnded = child.pid === undefined || child.exitCode !== null || child.signalCode !== null;
  const ended = hasEnded ? undefined : once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
}

function readNamespace(holder: ChildProcess): string | undefined {
  try {
    return readlinkSync(`/proc/${holder.pid}/ns/net`);
  } catch {
    return undefined;
  }
}
