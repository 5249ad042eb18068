import { setTimeout as sleep } from 'node:timers/promises';
import { monotonicClock } from '../../shared/clock.ts';
import { formatCount } from '../amounts.ts';
import type { Check } from '../check.ts';
import type { Stretch } from '../checkers/witness.ts';
import { CoreLoad } from '../core-load.ts';
import { isSoloSince, noTakeover, until } from '../faults.ts';
import type { Lab } from '../lab.ts';
import { isKind } from '../measure.ts';
import { type DrillContext, examine, type Findings, startProtected, workFor } from '../steps.ts';

/** What is measured begins this long after the primary has noticed. */
const settleMs = 1_000;
const stopMs = 10_000;

/**
 * Nothing is done to anybody, while a neighbour wants every core: nobody may take over, and the
 * guest is protected all the while.
 */
export async function steady(lab: Lab, context: DrillContext): Promise<Findings> {
  const { progress, durationMs } = context;
  await startProtected(lab, context);
  const load = new CoreLoad(lab.folder.mark);
  try {
    progress.heading(`Nothing happens, at full load of ${load.count} cores`);
    await workFor(lab, context, durationMs);
    const loaded: Check = {
      name: 'cores-were-loaded',
      ok: load.running === load.count,
      detail: `${load.running} of ${load.count} processes that never wait ran to the end`,
    };
    const acked = lab.primaryEvents.filter(isKind('ack')).length;
    progress.line(`${formatCount(acked)} epochs acknowledged`);
    return await conclude(context, [loaded, noTakeover(lab, 1, 'nothing was done')]);
  } finally {
    load.end();
  }
}

/** The same client with the same guest, first protected and then alone, for as long each. */
export async function latency(lab: Lab, context: DrillContext): Promise<Findings> {
  const { progress, durationMs, signal } = context;
  await startProtected(lab, context);
  progress.heading('The client, while the guest is protected');
  const inProtection = await stretch('protected', () => workFor(lab, context, durationMs));
  progress.heading('The client, while the guest runs alone');
  const sinceMs = monotonicClock.nowMs();
  await lab.backup.stop(stopMs);
  await until(lab, context, 'the primary to go on alone', () => isSoloSince(lab, 'a', sinceMs));
  await sleep(settleMs, undefined, { signal });
  const alone = await stretch('alone', () => sleep(durationMs, undefined, { signal }));
  const checks = [noTakeover(lab, 1, 'the backup was stopped')];
  return await conclude(context, checks, [inProtection, alone]);
}

async function stretch(name: string, run: () => Promise<unknown>): Promise<Stretch> {
  const fromMs = monotonicClock.nowMs();
  await run();
  return { name, fromMs, toMs: monotonicClock.nowMs() };
}

async function conclude(
  { witness, progress, signal }: DrillContext,
  checks: readonly Check[],
  stretches?: readonly Stretch[],
): Promise<Findings> {
  await witness.beforeFault();
  progress.heading('The client’s account');
  const testimony = await examine(witness, undefined, signal, stretches);
  return {
    ...{ killedAtMs: null, resumedEpoch: null, ramVerified: false, testimony },
    checks: [...checks, ...testimony.checks],
  };
}
