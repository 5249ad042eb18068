import { type ChildProcess, spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';

/**
 * Somebody else's work: a process for each core that never waits, in sessions of their own, as a
 * neighbour's would be. `mark` is the drill's, so that what is left of them is found.
 */
export class CoreLoad {
  readonly count: number;
  readonly #children: ChildProcess[];

  constructor(mark: string) {
    this.count = availableParallelism();
    const command = ['--pdeathsig', 'KILL', '--', 'sh', '-c', 'while :; do :; done', mark];
    this.#children = Array.from({ length: this.count }, () =>
      spawn('setpriv', command, { stdio: 'ignore', detached: true }).on('error', () => {}),
    );
  }

  /** How many of them run: fewer than `count` means that one could not be started. */
  get running(): number {
    return this.#children.filter(({ pid, exitCode }) => pid !== undefined && exitCode === null)
      .length;
  }

  end(): void {
    for (const child of this.#children) child.kill('SIGKILL');
  }
}
