import { mkdir } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadConfig } from '../shared/config/load.ts';
import { nearest } from '../shared/config/nearest.ts';
import type { LabConfig } from '../shared/config/schema.ts';
import { systemCode, UnderstudyError } from '../shared/errors.ts';
import { carryOut } from './carry-out.ts';
import { watchInterrupts } from './interrupt.ts';
import { toLabConfig, wantsLabGuest, withLabGuest } from './lab-config.ts';
import { buildLabGuest } from './lab-guest/build.ts';
import { createProgress, type Output, type Progress, silentProgress } from './progress.ts';
import { writeReport } from './report/write.ts';
import type { DrillResult } from './result.ts';
import { sweepDeadRuns } from './run-folder.ts';
import { scenarios } from './scenarios.ts';
import { summarise } from './summary.ts';

export interface DrillOptions {
  readonly scenario: string;
  /** A configuration file of any role; absent: configs/lab.yaml. */
  readonly guestFile?: string | undefined;
  /** Prints the result as one JSON object and nothing else. */
  readonly json?: boolean | undefined;
  /** Where the report goes; absent: below $XDG_STATE_HOME or ~/.local/state. */
  readonly reportFolder?: string | undefined;
  readonly seed?: number | undefined;
  readonly output?: Output | undefined;
}

/** What the guest does in a drill, besides serving the drill's client. */
const labGuestLoad = 'lab.load=kv lab.rate=1000';

/**
 * Runs a drill and returns its exit status: 0 only if every check held. A drill that breaks off
 * gives a result as well, with `error`. Throws `E_USAGE` or `E_CONFIG_…` before anything starts.
 */
export async function runDrill(options: DrillOptions): Promise<number> {
  const { output = process.stdout, json = false } = options;
  const scenario = Object.hasOwn(scenarios, options.scenario)
    ? scenarios[options.scenario]
    : undefined;
  if (scenario === undefined) throw unknownScenario(options.scenario);
  const config = toLabConfig(
    loadConfig(options.guestFile ?? labConfigPath, 'lab', 'primary', 'backup'),
  );
  const reportFolder = await makeReportFolder(options);
  const progress = json ? silentProgress : createProgress(output);
  const seed = options.seed ?? Math.floor(Math.random() * 2 ** 32);
  const interrupts = watchInterrupts();
  try {
    progress.heading(`Drill ${options.scenario}: ${scenario.summary}`);
    const swept = await sweepDeadRuns();
    if (swept.length > 0) progress.line(`cleared away what was left of ${swept.join(', ')}`);
    const { signal } = interrupts;
    const { result, events } = await carryOut({
      ...{ scenarioName: options.scenario, scenario, seed, progress, signal },
      prepare: () => prepareGuest(config, progress),
    });
    const report = await writeReport(reportFolder, result, events);
    const finished: DrillResult = { ...result, report };
    if (json) output.write(`${JSON.stringify(finished)}\n`);
    else summarise(finished, progress);
    return finished.ok ? 0 : interrupts.exitStatus();
  } finally {
    interrupts.unwatch();
  }
}

const labConfigPath = fileURLToPath(new URL('../../configs/lab.yaml', import.meta.url));

async function prepareGuest(config: LabConfig, progress: Progress) {
  const verify = { ...config.verify, atTakeover: 'full' as const };
  if (!wantsLabGuest(config)) {
    const { kernel, disks } = config.guest;
    const guestImage = kernel ?? disks[0]?.path ?? 'none';
    return { config: { ...config, verify }, isLabGuest: false, guestImage };
  }
  const labGuest = await buildLabGuest({ onProgress: (step) => progress.line(step) });
  progress.line(`lab guest ${labGuest.recipeDigest}: Linux and Redis out of Debian's packages`);
  return {
    config: { ...withLabGuest(config, labGuest, labGuestLoad), verify },
    isLabGuest: true,
    guestImage: `lab guest ${labGuest.recipeDigest}, ${labGuestLoad}`,
  };
}

async function makeReportFolder(options: DrillOptions): Promise<string> {
  const stamp = new Date().toISOString().replace(/[:.]/g, '-');
  const state = process.env.XDG_STATE_HOME || join(homedir(), '.local', 'state');
  const folder = resolve(
    options.reportFolder ?? join(state, 'understudy', 'drills', `${stamp}-${options.scenario}`),
  );
  try {
    await mkdir(folder, { recursive: true });
    return folder;
  } catch (error) {
    throw new UnderstudyError('E_DRILL_REPORT', `can't make the report's folder ${folder}`, {
      hint: 'Name a folder that can be written with --report.',
      fields: { folder, systemCode: systemCode(error) ?? null },
      cause: error,
    });
  }
}

function unknownScenario(name: string): UnderstudyError {
  const names = Object.keys(scenarios);
  const near = nearest(name, names);
  return new UnderstudyError('E_USAGE', `there is no drill ${name}`, {
    hint: near === undefined ? `There are ${names.join(' and ')}.` : `Did you mean ${near}?`,
    fields: { scenario: name },
  });
}
