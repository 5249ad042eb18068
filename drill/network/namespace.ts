import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { readdirSync, readlinkSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { systemCode, UnderstudyError } from '../../shared/errors.ts';
import { killIfThere } from '../run-processes.ts';

const startMs = 30_000;
const commandMs = 60_000;

/**
 * A network namespace without a name, held by a process that ends with this one: however a drill
 * ends, nothing of it stays behind once the processes in it are gone.
 */
export class Namespace {
  readonly #holder: ChildProcess;
  readonly #link: string;

  /** Throws `E_DRILL_NAMESPACE` where this process may not make one. */
  static async create(): Promise<Namespace> {
    const held = ['--pdeathsig', 'KILL', '--', 'unshare', '--net', '--', 'sleep', 'infinity'];
    const holder = spawn('setpriv', held, { stdio: ['ignore', 'ignore', 'pipe'] });
    let why = '';
    holder.stderr.on('data', (piece) => {
      why += piece;
    });
    holder.on('error', (error) => {
      why = error.message;
    });
    const ours = readlinkSync('/proc/self/ns/net');
    const endAtMs = performance.now() + startMs;
    for (;;) {
      const link = readLink(holder.pid ?? 0);
      if (link !== undefined && link !== ours) return new Namespace(holder, link);
      const ended = holder.pid === undefined || holder.exitCode !== null;
      if (ended || performance.now() > endAtMs) {
        holder.kill('SIGKILL');
        throw noNamespace(why.trim() || 'it did not start');
      }
      await sleep(2);
    }
  }

  private constructor(holder: ChildProcess, link: string) {
    this.#holder = holder;
    this.#link = link;
  }

  /** By which others move an interface into it. */
  get pid(): number {
    return this.#holder.pid!;
  }

  /** To be put before a command. */
  get enter(): readonly string[] {
    return ['nsenter', `--net=/proc/${this.pid}/ns/net`, '--'];
  }

  /** Runs `ip` with each of `lines`, in order. Throws `E_DRILL_NAMESPACE`. */
  async ip(...lines: string[]): Promise<void> {
    await this.run(['ip', '-batch', '-'], `${lines.join('\n')}\n`);
  }

  /** Runs a command in it. Throws `E_DRILL_NAMESPACE` with its last words. */
  async run(command: readonly string[], input = ''): Promise<string> {
    const [program, ...args] = [...this.enter, ...command];
    return await new Promise((resolve, reject) => {
      const child = execFile(program!, args, { timeout: commandMs }, (error, stdout, stderr) => {
        if (error === null) resolve(stdout);
        else reject(noNamespace(`${command.join(' ')}: ${stderr.trim() || error.message}`));
      });
      child.stdin?.on('error', () => {});
      child.stdin?.end(input);
    });
  }

  /** Sends the signal to every process in it, except to the one that holds it. */
  signalAll(signal: NodeJS.Signals): void {
    for (const name of readdirSync('/proc')) {
      const pid = Number(name);
      if (!Number.isInteger(pid) || pid === this.pid) continue;
      if (readLink(pid) === this.#link) killIfThere(pid, signal);
    }
  }

  close(): void {
    this.#holder.kill('SIGKILL');
  }
}

function readLink(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`);
  } catch (error) {
    // Gone, a zombie, or not ours to look at.
    if (['ENOENT', 'EACCES', 'EPERM', 'ESRCH'].includes(systemCode(error) ?? '')) return undefined;
    throw error;
  }
}

function noNamespace(why: string): UnderstudyError {
  return new UnderstudyError('E_DRILL_NAMESPACE', `no network of its own for the drill: ${why}`, {
    hint: 'Run it as root, with iproute2, tcpdump and /dev/net/tun there.',
    fields: { why },
  });
}
