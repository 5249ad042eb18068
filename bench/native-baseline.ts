import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { compileC } from './compile.ts';
import type { Contender } from './race.ts';

export type NativePass = 'xxh3' | 'compare' | 'copy';

/**
 * The C program of `native/baseline.c`, compiled for this machine, as a process that measures
 * when it is asked to: so a native round can lie between two of ours.
 */
export class NativeBaseline {
  readonly #child: ChildProcess;
  readonly #folder: string;
  readonly #answers: AsyncIterator<string>;

  private constructor(child: ChildProcess, folder: string) {
    this.#child = child;
    this.#folder = folder;
    this.#answers = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  }

  /** Compiles the program and gives it `data`, whole pages. Throws where gcc cannot do it. */
  static async start(data: Uint8Array): Promise<NativeBaseline> {
    const folder = await mkdtemp(join(tmpdir(), 'understudy-bench-'));
    try {
      const program = join(folder, 'baseline');
      const input = join(folder, 'pages');
      await compileC(sourcePath, program, ['-O3', '-march=native']);
      await writeFile(input, data);
      const child = spawn(program, [`${data.length}`, input], {
        stdio: ['pipe', 'pipe', 'inherit'],
      });
      const baseline = new NativeBaseline(child, folder);
      // The first answer says that the data are read: the file may go.
      await baseline.measure('copy', 1);
      await rm(input);
      return baseline;
    } catch (error) {
      await rm(folder, { recursive: true, force: true });
      throw error;
    }
  }

  /** GB/s of one pass, measured for about `ms`. */
  async measure(pass: NativePass, ms: number): Promise<number> {
    this.#child.stdin!.write(`${pass} ${ms}\n`);
    const { value, done } = await this.#answers.next();
    const rate = Number(value);
    if (done === true || !(rate > 0)) {
      throw new Error(`the native baseline answered "${value}" to ${pass}`);
    }
    return rate;
  }

  contender(pass: NativePass, what: string): Contender {
    const measure = (roundMs: number): Promise<number> => this.measure(pass, roundMs);
    return { id: `native.${pass}`, what, unit: 'GB/s', measure };
  }

  async stop(): Promise<void> {
    const ended = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.stdin!.end();
    if (this.#child.exitCode === null && this.#child.signalCode === null) await ended;
    await rm(this.#folder, { recursive: true, force: true });
  }
}

/** In the checkout that this build belongs to. */
const sourcePath = fileURLToPath(new URL('../../bench/native/baseline.c', import.meta.url));
