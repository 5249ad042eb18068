import { execFile } from 'node:child_process';
import { cpus, release, totalmem } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
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
  /** How many cores other work kept busy just before the start; see `quietCores`. */
  readonly busyCoresAtStart: number;
  readonly commit: string;
}

/** Tells `say` where the machine is not quiet. */
export async function readConditions(say: (line: string) => void): Promise<Conditions> {
  const busyCoresAtStart = await busyCores();
  if (busyCoresAtStart > quietCores) {
    say(`${busyCoresAtStart.toFixed(2)} cores are busy: other work runs beside this`);
  }
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
    busyCoresAtStart,
    commit: changed === '' || commit === 'none' ? commit : `${commit} and changes`,
  };
}

/** Where more was busy before the start, other work runs beside the benchmark. */
export const quietCores = 0.2;

const lookMs = 2000;

/** Over two seconds; a load average would still tell of what ended a minute ago. */
async function busyCores(): Promise<number> {
  const [before, startedAtMs] = [busyMs(), performance.now()];
  await sleep(lookMs);
  return (busyMs() - before) / (performance.now() - startedAtMs);
}

const busyMs = () =>
  cpus().reduce((sum, { times }) => sum + times.user + times.nice + times.sys + times.irq, 0);

/** Empty where the program prints nothing, `none` where there is no such program. */
async function firstLine(program: string, ...args: readonly string[]): Promise<string> {
  try {
    const { stdout } = await promisify(execFile)(program, args);
    return stdout.split('\n')[0]!.trim();
  } catch {
    return 'none';
  }
}
