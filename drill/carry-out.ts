import type { LabConfig } from '../shared/config/schema.ts';
import { isUnderstudyError, type UnderstudyError } from '../shared/errors.ts';
import { Random } from '../shared/random.ts';
import type { Check } from './check.ts';
import { MemoryWitness } from './checkers/memory-witness.ts';
import { NetworkWitness } from './checkers/network-witness.ts';
import { StoreWitness } from './checkers/store-witness.ts';
import type { Witness } from './checkers/witness.ts';
import { describeConditions } from './conditions.ts';
import { turnsOf } from './holders.ts';
import { Lab } from './lab.ts';
import { storePort } from './lab-config.ts';
import { measureRun, type RunEvents } from './measure.ts';
import type { LabNetwork } from './network/lab-network.ts';
import type { Progress } from './progress.ts';
import type { DrillFailure, DrillResult } from './result.ts';
import { readCommand } from './run-processes.ts';
import type { Scenario } from './scenarios.ts';
import type { Findings } from './steps.ts';

const logLineCount = 20;

/** What the agents recorded, and the instants that the drill knows. */
export type DrillEvents = RunEvents;

export interface PreparedGuest {
  readonly config: LabConfig;
  readonly isLabGuest: boolean;
  readonly guestImage: string;
  /** Undefined where the drill makes no networks: both hosts are on this machine's then. */
  readonly network: LabNetwork | undefined;
}

export interface CarryOutOptions {
  readonly scenarioName: string;
  readonly scenario: Scenario;
  readonly seed: number;
  readonly progress: Progress;
  readonly signal: AbortSignal;
  /** For how long a scenario goes on that has no end of its own. */
  readonly durationMs: number;
  readonly prepare: () => Promise<PreparedGuest>;
}

/**
 * One drill from an empty machine to an empty machine. Expected failures, an interruption among
 * them, end up in the result; whatever happens, the lab is taken down.
 */
export async function carryOut(
  options: CarryOutOptions,
): Promise<{ result: DrillResult; events: DrillEvents }> {
  const startedAt = new Date();
  const run = new Run(options);
  try {
    await run.go();
  } catch (error) {
    run.fail(error);
  } finally {
    await run.finish();
  }
  return await run.conclude(startedAt);
}

class Run {
  readonly #options: CarryOutOptions;
  #guest: PreparedGuest | undefined;
  #lab: Lab | undefined;
  #witness: Witness | undefined;
  #findings: Findings | undefined;
  #failure: DrillFailure | undefined;
  #cleanUp: Check | undefined;
  #keepsLogs = false;
  #qemuCommand: string | undefined;

  constructor(options: CarryOutOptions) {
    this.#options = options;
  }

  async go(): Promise<void> {
    const { scenario, seed, progress, signal, durationMs, prepare } = this.#options;
    this.#guest = await prepare();
    const { config, isLabGuest } = this.#guest;
    signal.throwIfAborted();
    const { network } = this.#guest;
    const lab = await Lab.create({ config, choosePorts: isLabGuest, network, signal });
    this.#lab = lab;
    this.#witness = chooseWitness(this.#guest, lab, signal);
    const context = {
      ...{ config, witness: this.#witness, random: new Random(seed), progress, signal },
      durationMs,
    };
    this.#findings = await scenario.run(lab, context);
  }

  fail(error: unknown): void {
    const { signal } = this.#options;
    // An aborted sleep throws an error of its own.
    if (signal.aborted) this.#setFailure(signal.reason);
    else if (isUnderstudyError(error)) this.#setFailure(error);
    else throw error;
  }

  #setFailure(error: UnderstudyError): void {
    this.#failure = {
      code: error.code,
      message: error.message,
      hint: error.hint,
      logs: this.#lab?.lastLogLines(logLineCount) ?? [],
    };
  }

  async finish(): Promise<void> {
    await this.#witness?.end();
    this.#qemuCommand = this.#lab && readGuestCommand(this.#lab);
    this.#keepsLogs = this.#findings === undefined || this.#findings.checks.some(({ ok }) => !ok);
    this.#cleanUp = await this.#lab?.takeDown(this.#keepsLogs);
    // Where it did not come to a lab.
    this.#guest?.network?.close();
  }

  async conclude(startedAt: Date): Promise<{ result: DrillResult; events: DrillEvents }> {
    const { scenarioName, seed } = this.#options;
    const findings = this.#findings;
    const events: DrillEvents = {
      primary: this.#lab?.primaryEvents ?? [],
      backup: this.#lab?.backupEvents ?? [],
      servesFromMs: this.#lab?.servesFromMs,
      killedAtMs: findings?.killedAtMs ?? undefined,
      servedAtMs: findings?.testimony.servedAtMs ?? undefined,
    };
    const measured = measureRun(events);
    const checks = [...(findings?.checks ?? []), ...(this.#cleanUp ? [this.#cleanUp] : [])];
    const config = this.#guest?.config;
    const result: DrillResult = {
      scenario: scenarioName,
      ok: findings !== undefined && this.#failure === undefined && checks.every(({ ok }) => ok),
      mode: config?.mode ?? 'fgbi',
      seed,
      epochMs: config?.epoch.intervalMs ?? 0,
      ...measured,
      resumedEpoch: findings?.resumedEpoch ?? null,
      ramVerified: findings?.ramVerified ?? false,
      guestContinued: findings?.testimony.guestContinued ?? false,
      dataLost: findings?.testimony.dataLost ?? null,
      unprotectedWrites: findings?.testimony.unprotectedWrites ?? null,
      client: findings?.testimony.client ?? null,
      checks,
      error: this.#failure ?? null,
      conditions: await describeConditions({
        config,
        startedAt,
        qemuCommand: this.#qemuCommand,
        primaryEvents: events.primary,
        guestImage: this.#guest?.guestImage ?? 'not built',
      }),
      runFolder: this.#keepsLogs ? (this.#lab?.folder.path ?? null) : null,
      report: null,
    };
    return { result, events };
  }
}

function chooseWitness(guest: PreparedGuest, lab: Lab, signal: AbortSignal): Witness {
  const { config, isLabGuest, network } = guest;
  if (!isLabGuest) return memoryWitness(lab, config, signal);
  if (network === undefined) return storeWitness(lab, config, signal);
  const { deadlineMs, watchMs } = config.drill;
  const { folder } = lab;
  const turns = () => turnsOf(lab);
  return new NetworkWitness({ network, folder, turns, deadlineMs, watchMs, signal });
}

function storeWitness(lab: Lab, config: LabConfig, signal: AbortSignal): Witness {
  const forwards = config.guest.networks.flatMap(({ hostForward }) => hostForward);
  const index = forwards.findIndex(({ guestPort }) => guestPort === storePort);
  const { deadlineMs, watchMs } = config.drill;
  return new StoreWitness({
    primaryPort: lab.primarySide.hostPorts[index]!,
    backupPort: lab.backupSide.hostPorts[index]!,
    ...{ deadlineMs, watchMs, signal },
  });
}

function memoryWitness(lab: Lab, config: LabConfig, signal: AbortSignal): Witness {
  return new MemoryWitness({
    backupMemoryFolder: lab.backupSide.memoryFolder,
    memoryBytes: config.guest.memory,
    watchMs: config.drill.watchMs,
    guestPid: () => lab.runningGuestPid() ?? 0,
    signal,
  });
}

function readGuestCommand(lab: Lab): string | undefined {
  const pid = lab.runningGuestPid();
  return pid === undefined ? undefined : readCommand(pid);
}
