import { execFile } from 'node:child_process';
import { cpus, loadavg, release, totalmem } from 'node:os';
import { promisify } from 'node:util';

/** What the numbers depend on. */
export interface Conditions {
  /** UTC, to the minute. */
  readonly date: string;
  readonly processor: string;
  readonly cores: number;
  readonly memoryGib: number;
  readonly kernel: string;
  readonly node: string;
  readonly qemu: string;
  readonly natsServer: string;
  readonly compiler: string;
  /** Of the last minute, at the start; see `quietLoad`. */
  readonly loadAtStart: number;
  readonly commit: string;
}

export async function readConditions(): Promise<Conditions> {
  const [qemu, natsServer, compiler, commit, changed] = await Promise.all([
    firstLine('qemu-system-x86_64', '--version'),
    firstLine('nats-server', '--version'),
    firstLine('gcc', '--version'),
    firstLine('git', 'rev-parse', '--short=12', 'HEAD'),
    firstLine('git', 'status', '--porcelain', '--untracked-files=no'),
  ]);
  return {
    date: `${new Date().toISOString().slice(0, 16).replace('T', ' ')} UTC`,
    processor: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryGib: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    node: process.version,
    qemu,
    natsServer,
    compiler,
    loadAtStart: loadavg()[0]!,
    commit: changed === '' || commit === 'none' ? commit : `${commit} and changes`,
  };
}

/** Above this load average other work ran beside the benchmark. */
export const quietLoad = 0.5;

/** Empty where the program prints nothing, `none` where there is no such program. */
async function firstLine(program: string, ...args: readonly string[]): Promise<string> {
  try {
    const { stdout } = await promisify(execFile)(program, args);
    return stdout.split('\n')[0]!.trim();
  } catch {
    return 'none';
  }
}
