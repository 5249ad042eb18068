import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { stepError } from './drill-error.ts';
import { EventTail } from './event-tail.ts';
import { killIfThere } from './run-processes.ts';

const mainPath = fileURLToPath(new URL('../cli/main.js', import.meta.url));

export interface AgentOptions {
  readonly role: 'primary' | 'backup';
  readonly configFile: string;
  readonly eventsFile: string;
  readonly runFolder: string;
  /** Put before the command: where the agent is to run. */
  readonly enter: readonly string[];
}

/** `understudy primary` or `understudy backup` as a process of its own, as on a host of its own. */
export class AgentProcess {
  readonly role: 'primary' | 'backup';
  readonly logFile: string;
  readonly tail: EventTail;
  readonly #options: AgentOptions;
  readonly #child: ChildProcess;
  #ended: string | undefined;

  constructor(options: AgentOptions) {
    this.#options = options;
    this.role = options.role;
    this.logFile = join(options.runFolder, `${options.role}.log`);
    this.tail = new EventTail(options.eventsFile);
    const log = openSync(this.logFile, 'a');
    // A drill that is itself killed must not leave agents behind; a group of its own keeps the
    // terminal's Ctrl-C from reaching the agent before the drill.
    const node = [process.execPath, mainPath, options.role, '-c', options.configFile];
    const command = [...options.enter, ...node];
    this.#child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', ...command], {
      stdio: ['ignore', log, log],
      detached: true,
    });
    closeSync(log);
    this.#child.on('error', (error) => {
      this.#ended = `could not be started: ${error.message}`;
    });
    this.#child.on('exit', (code, signal) => {
      this.#ended = signal === null ? `ended with status ${code}` : `was ended by ${signal}`;
    });
  }

  get pid(): number {
    if (this.#child.pid === undefined) throw stepError(`the ${this.role} agent has no process`);
    return this.#child.pid;
  }

  /** How the agent ended, for messages; undefined while it runs. */
  get ended(): string | undefined {
    return this.#ended;
  }

  /** `understudy COMMAND -c FILE` on the agent's host: its exit status, and all that it said. */
  async operate(command: string): Promise<{ status: number | null; said: string }> {
    const { enter, configFile } = this.#options;
    const understudy = [...enter, process.execPath, mainPath, command, '-c', configFile];
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', ...understudy], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let said = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (piece: string) => {
        said += piece;
      });
    }
    const status = await new Promise<number | null>((resolve, reject) => {
      child.on('error', reject);
      child.on('close', resolve);
    });
    return { status, said: said.trim() };
  }

  /** Asks the agent to end as an operator would; kills it at the deadline. */
  async stop(deadlineMs: number): Promise<void> {
    this.kill('SIGTERM');
    if (await this.#waitForEnd(deadlineMs)) return;
    this.kill('SIGKILL');
    await this.#waitForEnd(deadlineMs);
  }

  kill(signal: NodeJS.Signals): void {
    if (this.#ended === undefined && this.#child.pid !== undefined) {
      killIfThere(this.#child.pid, signal);
    }
  }

  lastLines(count: number): string[] {
    try {
      return readFileSync(this.logFile, 'utf8').trimEnd().split('\n').slice(-count);
    } catch {
      return [];
    }
  }

  async #waitForEnd(deadlineMs: number): Promise<boolean> {
    const endAtMs = performance.now() + deadlineMs;
    while (this.#ended === undefined) {
      if (performance.now() > endAtMs) return false;
      await sleep(10);
    }
    return true;
  }
}
