import { setTimeout as sleep } from 'node:timers/promises';
import { carryOut } from '../drill/carry-out.ts';
import { watchInterrupts } from '../drill/interrupt.ts';
import type { Lab } from '../drill/lab.ts';
import { toLabConfig, withLabGuest } from '../drill/lab-config.ts';
import { buildLabGuest } from '../drill/lab-guest/build.ts';
import type { RunEvents } from '../drill/measure.ts';
import { silentProgress } from '../drill/progress.ts';
import type { DrillResult } from '../drill/result.ts';
import { sweepDeadRuns } from '../drill/run-folder.ts';
import {
  type DrillContext,
  type Findings,
  failPrimaryHost,
  startProtected,
} from '../drill/steps.ts';
import { defaults, type LabConfig } from '../shared/config/schema.ts';
import { type MemorySample, sampleMemory } from './memory-sample.ts';

export interface LabRunOptions {
  readonly memoryBytes: number;
  /** Words for the lab guest's command line, which lab-guest/init.sh explains. */
  readonly load: string;
  /** How long the protected guest works before its host is killed. */
  readonly workMs: number;
  readonly atTakeover: 'full' | 'recorded';
  /** An image of which both hosts have one of their own, as the guest's disk that it does not use. */
  readonly diskImage?: string;
  /** Size of a disk on which the guest's store syncs each write. */
  readonly dataDiskBytes?: number;
  /** False where agents end and start while the guest works. Default: true. */
  readonly samplesMemory?: boolean;
  /** An image of a disk from which the guest boots, in place of the lab guest. */
  readonly bootImage?: string;
  /** In place of the time at work. `rest`: the client that uses the guest leaves it alone, or not. */
  readonly during?: (lab: Lab, rest: (isResting: boolean) => void) => Promise<void>;
}

export interface LabRun {
  readonly result: DrillResult;
  readonly events: RunEvents;
  /** The agents' own memory while the guest was protected and at work. */
  readonly samples: readonly MemorySample[];
  /** The working time, on the clock of the events. */
  readonly fromMs: number;
  readonly toMs: number;
}

/**
 * Two real agents, a NATS server and the lab guest, as in a drill: the guest is protected, works,
 * loses its host and goes on. Throws where the drill could not be carried out at all; whether all
 * of its checks held is in `result.ok`.
 */
export async function runLab(options: LabRunOptions): Promise<LabRun> {
  await sweepDeadRuns();
  const interrupts = watchInterrupts();
  const run = new MeasuredScenario(options);
  try {
    const { result, events } = await carryOut({
      scenarioName: 'bench',
      scenario: {
        summary: 'a benchmark',
        run: (lab, context) => run.go(lab, context),
        servers: 1,
        needsNetwork: false,
      },
      durationMs: 0,
      seed: 1,
      progress: silentProgress,
      signal: interrupts.signal,
      prepare: () => prepareGuest(options),
    });
    if (result.error !== null) throw new Error(`${result.error.code}: ${result.error.message}`);
    return { result, events, samples: run.samples, fromMs: run.fromMs, toMs: run.toMs };
  } finally {
    interrupts.unwatch();
  }
}

async function prepareGuest(options: LabRunOptions) {
  const { memoryBytes, load, atTakeover, diskImage, dataDiskBytes, bootImage } = options;
  const base = toLabConfig(defaults('lab', 'bench'));
  const sized: LabConfig = {
    ...base,
    guest: { ...base.guest, memory: memoryBytes },
    verify: { ...base.verify, atTakeover },
    drill: { ...base.drill, dataDisk: dataDiskBytes ?? null },
  };
  if (bootImage !== undefined) {
    const boot = { path: bootImage, format: 'raw', replicate: false, readonly: true } as const;
    const config = { ...sized, guest: { ...sized.guest, networks: [], disks: [boot] } };
    return { config, isLabGuest: false, guestImage: bootImage, network: undefined };
  }
  const labGuest = await buildLabGuest();
  const plain = withLabGuest(sized, labGuest, load);
  const disk = { path: diskImage ?? '', format: 'raw', replicate: true, readonly: false } as const;
  const config =
    diskImage === undefined ? plain : { ...plain, guest: { ...plain.guest, disks: [disk] } };
  const guestImage = `lab guest ${labGuest.recipeDigest}, ${load}`;
  return { config, isLabGuest: true, guestImage, network: undefined };
}

const samplePeriodMs = 100;

/** As the drill `kill-host`, but measuring while the guest works. */
class MeasuredScenario {
  readonly samples: MemorySample[] = [];
  readonly #options: LabRunOptions;
  fromMs = 0;
  toMs = 0;

  constructor(options: LabRunOptions) {
    this.#options = options;
  }

  async go(lab: Lab, context: DrillContext): Promise<Findings> {
    await startProtected(lab, context);
    // What the guest does to come up is not what is measured.
    await sleep(1000, undefined, { signal: context.signal });
    this.fromMs = Number(process.hrtime.bigint()) / 1e6;
    const { workMs, during, samplesMemory = true } = this.#options;
    let isAtWork = true;
    const rest = (isResting: boolean): void => context.witness.rest?.(isResting);
    const worked = (
      during?.(lab, rest) ?? sleep(workMs, undefined, { signal: context.signal })
    ).finally(() => {
      isAtWork = false;
    });
    while (isAtWork && samplesMemory) {
      this.samples.push(sampleMemory(lab.primary.pid, lab.backup.pid));
      await Promise.race([worked, sleep(samplePeriodMs, undefined, { signal: context.signal })]);
    }
    await worked;
    this.toMs = Number(process.hrtime.bigint()) / 1e6;
    await context.witness.beforeFault();
    return await failPrimaryHost(lab, context);
  }
}
