import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { compileC } from '../compile.ts';
import { mean } from '../row.ts';
import { pin } from './cores.ts';

/** Compiles the probe into `folder`; returns the program. Throws where gcc can't do it. */
export async function compileSpeedProbe(folder: string): Promise<string> {
  const program = join(folder, 'core-speed');
  // Not vectorised: translated guest code is not.
  await compileC(sourcePath, program, ['-O2', '-fno-tree-vectorize']);
  return program;
}

/**
 * How fast the guest's core is, all the while. On a machine that others share a core's speed goes up
 * and down by a fifth within seconds (neighbours on the same physical core); work a second says little
 * about protection unless that is taken out. Costs the core half a per cent, protected or not.
 */
export class CoreSpeed {
  readonly #child: ChildProcess;
  readonly #samples: { readonly atMs: number; readonly loopUs: number }[] = [];

  /** `program`: what `compileSpeedProbe` made. */
  static start(program: string): CoreSpeed {
    const child = spawn(program, { stdio: ['ignore', 'pipe', 'inherit'] });
    // What could not be started gives no sample, and whoever asks is told.
    child.on('error', () => {});
    if (child.pid !== undefined) pin(child.pid, 'guest');
    return new CoreSpeed(child);
  }

  private constructor(child: ChildProcess) {
    this.#child = child;
    createInterface({ input: child.stdout! }).on('line', (line) => {
      this.#samples.push({ atMs: performance.now(), loopUs: Number(line) });
    });
  }

  /**
   * The core's mean speed between two instants of `performance.now()`: how often a millisecond it
   * could have done the probe's work. Throws where the probe did not tell.
   */
  loopsPerMs(fromMs: number, toMs: number): number {
    const inside = this.#samples.filter(({ atMs }) => atMs >= fromMs && atMs <= toMs);
    const speed = mean(inside.map(({ loopUs }) => 1000 / loopUs));
    if (!(speed > 0)) throw new Error('the core’s speed was not measured');
    return speed;
  }

  stop(): void {
    this.#child.kill('SIGKILL');
  }
}

/** In the checkout that this build belongs to. */
const sourcePath = fileURLToPath(new URL('../../../bench/native/core-speed.c', import.meta.url));
