import { execFile } from 'node:child_process';
import { cpus, release, totalmem, type } from 'node:os';
import { promisify } from 'node:util';
import type { LabConfig } from '../shared/config/schema.ts';
import type { TimedEvent } from '../shared/observe/events.ts';
import { isKind } from './measure.ts';
import type { Conditions } from './result.ts';

export interface ConditionSources {
  /** Undefined where the drill ended before it had a guest. */
  readonly config: LabConfig | undefined;
  readonly startedAt: Date;
  /** Arguments of the guest's QEMU as the system shows them; undefined if it never ran. */
  readonly qemuCommand: string | undefined;
  readonly primaryEvents: readonly TimedEvent[];
  readonly guestImage: string;
}

export async function describeConditions(sources: ConditionSources): Promise<Conditions> {
  const { config, startedAt, qemuCommand, primaryEvents, guestImage } = sources;
  const tracker = primaryEvents.filter(isKind('tracker')).at(-1);
  return {
    startedAt: startedAt.toISOString(),
    processor: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryBytes: totalmem(),
    kernel: `${type()} ${release()}`,
    node: process.version,
    qemu: await firstLine('qemu-system-x86_64', '--version'),
    natsServer: await firstLine('nats-server', '--version'),
    accelerator: /\baccel(?:=| )(\w+)/.exec(qemuCommand ?? '')?.[1] ?? 'not run',
    tracker: tracker?.tracker ?? 'not run',
    guestName: config?.guest.name ?? '',
    guestMemoryBytes: config?.guest.memory ?? 0,
    guestVcpus: config?.guest.vcpus ?? 0,
    guestImage,
  };
}

const execFileAsync = promisify(execFile);

async function firstLine(command: string, argument: string): Promise<string> {
  try {
    const { stdout, stderr } = await execFileAsync(command, [argument], { timeout: 10_000 });
    return `${stdout}${stderr}`.trim().split('\n')[0] ?? '';
  } catch (error) {
    return `unknown (${error instanceof Error ? error.message.split('\n')[0] : error})`;
  }
}
