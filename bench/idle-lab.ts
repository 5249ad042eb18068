import { setTimeout as sleep } from 'node:timers/promises';
import { watchInterrupts } from '../drill/interrupt.ts';
import { Lab } from '../drill/lab.ts';
import { toLabConfig } from '../drill/lab-config.ts';
import { buildLabGuest } from '../drill/lab-guest/build.ts';
import { type EventOf, isKind } from '../drill/measure.ts';
import { sweepDeadRuns } from '../drill/run-folder.ts';
import { isProtected } from '../drill/steps.ts';
import { monotonicClock } from '../shared/clock.ts';
import { defaults } from '../shared/config/schema.ts';
import { guestReady } from './guest-ready.ts';

export interface IdleLabOptions {
  readonly memoryBytes: number;
  readonly load: string;
  readonly workMs: number;
}

const settleMs = 3000;

/** Both agents and a lab guest that nobody speaks to; its epochs once it has come to rest. */
export async function runIdleLab(options: IdleLabOptions): Promise<EventOf<'epoch'>[]> {
  await sweepDeadRuns();
  const labGuest = await buildLabGuest();
  const base = toLabConfig(defaults('lab', 'bench'));
  const append = `${labGuest.append} ${options.load}`;
  const { kernel, initrd } = labGuest;
  const guest = { ...base.guest, memory: options.memoryBytes, kernel, initrd, append };
  const interrupts = watchInterrupts();
  const { signal } = interrupts;
  const lab = await Lab.create({
    config: { ...base, guest },
    choosePorts: true,
    network: undefined,
    signal,
  });
  try {
    await lab.startServer();
    await lab.startBackup();
    await lab.startPrimary();
    const alive = [lab.primary, lab.backup];
    await lab.waitFor(lab.primary, isProtected, { what: 'the guest to be protected', alive });
    await guestReady(lab.primarySide.serialLog, signal);
    await sleep(settleMs, undefined, { signal });
    const fromMs = monotonicClock.nowMs();
    await sleep(options.workMs, undefined, { signal });
    lab.primary.tail.poll();
    const epochs = lab.primaryEvents.filter(isKind('epoch')).filter(({ atMs }) => atMs >= fromMs);
    if (epochs.length === 0) throw new Error('no epoch was captured while the guest was idle');
    return epochs;
  } finally {
    await lab.takeDown(false);
    interrupts.unwatch();
  }
}
