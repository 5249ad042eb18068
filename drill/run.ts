import { mkdir } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadConfig } from '../shared/config/load.ts';
import { nearest } from '../shared/config/nearest.ts';
import type { LabConfig } from '../shared/config/schema.ts';
import { isUnderstudyError, systemCode, UnderstudyError } from '../shared/errors.ts';
import { carryOut, type PreparedGuest } from './carry-out.ts';
import { watchInterrupts } from './interrupt.ts';
import { onCable, toLabConfig, wantsLabGuest, withLabGuest } from './lab-config.ts';
import { buildLabGuest } from './lab-guest/build.ts';
import { LabNetwork } from './network/lab-network.ts';
import { createProgress, type Output, type Progress, silentProgress } from './progress.ts';
import { writeReport } from './report/write.ts';
import type { DrillResult } from './result.ts';
import { sweepDeadRuns } from './run-folder.ts';
import { type Scenario, scenarios } from './scenarios.ts';
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
  /** For how long `random`, `steady` and `latency` go on; absent: a minute. */
  readonly durationMs?: number | undefined;
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
      durationMs: options.durationMs ?? defaultDurationMs,
      prepare: () => prepareGuest(config, scenario, progress),
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

const defaultDurationMs = 60_000;
/** As configs/lab-disk.yaml has it. */
const dataDiskBytes = 512 * 2 ** 20;
const labConfigPath = fileURLToPath(new URL('../../configs/lab.yaml', import.meta.url));

async function prepareGuest(
  config: LabConfig,
  scenario: Scenario,
  progress: Progress,
): Promise<PreparedGuest> {
  const verify = { ...config.verify, atTakeover: 'full' as const };
  const dataDisk = config.drill.dataDisk ?? (scenario.needsDisk ? dataDiskBytes : null);
  if (!wantsLabGuest(config)) {
    const { kernel, disks } = config.guest;
    const guestImage = kernel ?? disks[0]?.path ?? 'none';
    if (scenario.needsNetwork) throw needsLabGuest();
    return { config: { ...config, verify }, isLabGuest: false, guestImage, network: undefined };
  }
  const labGuest = await buildLabGuest({ onProgress: (step) => progress.line(step) });
  progress.line(`lab guest ${labGuest.recipeDigest}: Linux and Redis out of Debian's packages`);
  const withDisk = { ...config, drill: { ...config.drill, dataDisk } };
  const prepared = { ...withLabGuest(withDisk, labGuest, labGuestLoad), verify };
  const network = await makeNetwork(scenario, progress);
  return {
    config: network === undefined ? prepared : onCable(prepared),
    isLabGuest: true,
    guestImage: `lab guest ${labGuest.recipeDigest}, ${labGuestLoad}`,
    network,
  };
}

/** Undefined where it can't be made and the drill can do without: it then says what is missing. */
async function makeNetwork(
  { servers, needsNetwork }: Scenario,
  progress: Progress,
): Promise<LabNetwork | undefined> {
  try {
    return await LabNetwork.create(servers);
  } catch (error) {
    if (needsNetwork || !isUnderstudyError(error, 'E_DRILL_NAMESPACE')) throw error;
    progress.line(`${error.message}. ${error.hint}`);
    progress.line(
      'Both hosts share the loopback instead, and the guest is on QEMU’s own network: its output ' +
        'is not held, and what it told clients after the last epoch can be lost.',
    );
    return undefined;
  }
}

function needsLabGuest(): UnderstudyError {
  return new UnderstudyError('E_USAGE', 'this drill is held with the lab guest only', {
    hint: 'With a guest of your own there are kill-host and kill-backup.',
  });
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
    hint: near === undefined ? `There are ${names.join(', ')}.` : `Did you mean ${near}?`,
    fields: { scenario: name },
  });
}
