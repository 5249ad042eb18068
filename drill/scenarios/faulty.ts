import { setTimeout as sleep } from 'node:timers/promises';
import type { Check } from '../check.ts';
import { checkDataDisk, checkDisksAreEqual } from '../disk-steps.ts';
import { stepError } from '../drill-error.ts';
import { type FaultName, faults, type NetworkedLab, rolesOf, untilProtected } from '../faults.ts';
import type { Lab } from '../lab.ts';
import {
  type DrillContext,
  describeSync,
  examine,
  type Findings,
  startProtected,
  work,
} from '../steps.ts';

/** How long the guest is left alone between two faults, at most. */
const restMsMax = 2_000;

/** One fault after the other, each once the guest is protected again; then the client's account. */
export const faulty =
  (...names: readonly FaultName[]) =>
  async (lab: Lab, context: DrillContext): Promise<Findings> =>
    await suffer(lab, context, async (one) => {
      for (const name of names) await one(name);
    });

/** Faults drawn by the drill's seed until the time that the drill was given is over. */
export async function randomFaults(lab: Lab, context: DrillContext): Promise<Findings> {
  const { random, signal, durationMs } = context;
  const names = Object.keys(faults) as FaultName[];
  const endAtMs = performance.now() + durationMs;
  return await suffer(lab, context, async (one) => {
    do {
      await one(names[Math.floor(random.unit() * names.length)]!);
      await sleep(random.unit() * restMsMax, undefined, { signal });
    } while (performance.now() < endAtMs);
  });
}

async function suffer(
  lab: Lab,
  context: DrillContext,
  all: (one: (name: FaultName) => Promise<void>) => Promise<void>,
): Promise<Findings> {
  const { progress, witness, config, random, signal } = context;
  const checks: Check[] = [];
  const diskChecks: Check[][] = [];
  const counts = new Map<FaultName, number>();
  await startProtected(lab, context);
  await work(lab, context);
  await all(async (name) => {
    const { what, run } = faults[name];
    progress.heading(`${name}: ${what}`);
    counts.set(name, (counts.get(name) ?? 0) + 1);
    // Anywhere within an epoch.
    await sleep(random.unit() * 2 * config.epoch.intervalMs, undefined, { signal });
    await witness.beforeFault();
    checks.push(...(await run(networked(lab), context)));
    await untilProtected(lab, context);
    describeSync(lab.events(rolesOf(lab).runner), progress);
    progress.line('the guest is protected again');
    diskChecks.push(await checkDataDisk(lab, context));
  });
  progress.heading('The client’s account');
  const testimony = await examine(witness, undefined, signal);
  const equal = await checkDisksAreEqual(lab, context);
  return {
    killedAtMs: null,
    resumedEpoch: null,
    ramVerified: false,
    testimony,
    checks: [countCheck(counts), ...checks, ...testimony.checks, ...summed(diskChecks), ...equal],
  };
}

/** The checks of many copies of the disk: of each name the first that failed, or else the last. */
function summed(all: readonly Check[][]): Check[] {
  const names = [...new Set(all.flat().map(({ name }) => name))];
  return names.map((name) => {
    const ofName = all.flat().filter((check) => check.name === name);
    const failed = ofName.find(({ ok }) => !ok);
    const last = ofName.at(-1)!;
    return failed ?? { ...last, detail: `${ofName.length} times; at last ${last.detail}` };
  });
}

function countCheck(counts: ReadonlyMap<FaultName, number>): Check {
  const list = [...counts].map(([name, count]) => `${count} × ${name}`).join(', ');
  return { name: 'protected-after-each', ok: true, detail: `after ${list}` };
}

function networked(lab: Lab): NetworkedLab {
  if (lab.network === undefined) throw stepError('this drill needs network namespaces');
  return lab as NetworkedLab;
}
