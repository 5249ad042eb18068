import { setTimeout as sleep } from 'node:timers/promises';
import { monotonicClock } from '../shared/clock.ts';
import { formatMs } from './amounts.ts';
import type { Check } from './check.ts';
import { stepError } from './drill-error.ts';
import { holdersOf, isProtectedSince } from './holders.ts';
import { isStartedGuest, type Lab } from './lab.ts';
import { isKind } from './measure.ts';
import type { HostName, LabNetwork } from './network/lab-network.ts';
import { killIfThere } from './run-processes.ts';
import type { DrillContext } from './steps.ts';

const pollMs = 10;
/** How long a fault lasts once its effect has shown. */
const holdMs = 1_000;
const outageMs = 3_000;
const retryMs = 500;

/** What is done to one of the hosts, or to what lies between them. */
export interface Fault {
  /** As the drill says it. */
  readonly what: string;
  /** Does it, waits for what it leads to, and mends it. The pair may still be joining then. */
  readonly run: (lab: NetworkedLab, context: DrillContext) => Promise<readonly Check[]>;
}

/** A lab whose hosts have networks of their own. */
export type NetworkedLab = Lab & { readonly network: LabNetwork };

export const faults = {
  'kill-host': {
    what: 'the host that runs the guest dies, and comes back later',
    async run(lab, context) {
      const { runner } = rolesOf(lab);
      await takenOver(lab, context, () => lab.powerOff(runner));
      await lab.network.powerOn(runner);
      await lab.start(runner);
      return [];
    },
  },
  'kill-agent': {
    what: 'the primary agent dies, its guest runs on; the agent is started again later',
    async run(lab, context) {
      const { runner } = rolesOf(lab);
      await takenOver(lab, context, () => lab.agent(runner).kill('SIGKILL'));
      await lab.start(runner);
      return [];
    },
  },
  'kill-qemu': {
    what: "the guest's QEMU dies, its agent does not",
    async run(lab, context) {
      const { runner } = rolesOf(lab);
      await takenOver(lab, context, () => {
        killIfThere(guestPidOn(lab, runner), 'SIGKILL');
      });
      await until(lab, context, 'the agent to end', () => lab.agent(runner).ended !== undefined);
      await lab.start(runner);
      return [];
    },
  },
  'freeze-host': {
    what: 'all of the host that runs the guest stands still, and goes on after the takeover',
    async run(lab, context) {
      const { runner } = rolesOf(lab);
      const host = lab.network.host(runner);
      await takenOver(lab, context, () => host.signalAll('SIGSTOP'));
      await sleep(holdMs, undefined, { signal: context.signal });
      host.signalAll('SIGCONT');
      return [];
    },
  },
  'partition-primary': {
    what: 'the host that runs the guest is cut off from NATS, not from its clients',
    async run(lab, context) {
      const { runner } = rolesOf(lab);
      await takenOver(lab, context, () => lab.network.cut(runner, 'nats'));
      await sleep(holdMs, undefined, { signal: context.signal });
      await lab.network.mend(runner, 'nats');
      return [];
    },
  },
  'partition-backup': {
    what: 'the backup is cut off from NATS; the guest goes on without it',
    async run(lab, context) {
      const { runner, standby } = rolesOf(lab);
      const turns = holdersOf(lab).length;
      const sinceMs = monotonicClock.nowMs();
      await lab.network.cut(standby, 'nats');
      await until(lab, context, 'the primary to go on alone', () =>
        isSoloSince(lab, runner, sinceMs),
      );
      await sleep(holdMs, undefined, { signal: context.signal });
      await lab.network.mend(standby, 'nats');
      return [noTakeover(lab, turns, 'the backup was cut off')];
    },
  },
  'partition-both-from-nats': {
    what: 'both hosts are cut off from NATS; nobody may go on alone',
    async run(lab, context) {
      const turns = holdersOf(lab).length;
      await Promise.all([lab.network.cut('a', 'nats'), lab.network.cut('b', 'nats')]);
      await sleep(outageMs, undefined, { signal: context.signal });
      const check = noTakeover(lab, turns, 'nobody could read the record');
      await Promise.all([lab.network.mend('a', 'nats'), lab.network.mend('b', 'nats')]);
      return [check];
    },
  },
  'kill-nats': {
    what: 'a NATS server dies, and comes back later',
    async run(lab, context) {
      const index = Math.floor(context.random.unit() * lab.servers.count);
      context.progress.line(`server ${index + 1} of ${lab.servers.count}`);
      lab.servers.kill(index);
      await sleep(outageMs, undefined, { signal: context.signal });
      await lab.servers.start(index);
      return [];
    },
  },
  'slow-link': {
    what: 'the link of the host that runs the guest is slow for a while',
    async run(lab, context) {
      const { runner } = rolesOf(lab);
      const turns = holdersOf(lab).length;
      context.progress.line(await lab.network.slowDown(runner));
      await sleep(context.config.drill.workMs, undefined, { signal: context.signal });
      const check = noTakeover(lab, turns, 'the link was slow');
      await lab.network.speedUp(runner);
      return [check];
    },
  },
  switchover: {
    what: 'an operator moves the guest to the other host, as planned',
    async run(lab, context) {
      const { runner } = rolesOf(lab);
      await takenOver(lab, context, () => switchOver(lab, context, runner));
      return [nothingReplayed(lab, runner)];
    },
  },
} as const satisfies Record<string, Fault>;

export type FaultName = keyof typeof faults;

/** The host whose turn it is, and the other one. */
export function rolesOf(lab: Lab): { runner: HostName; standby: HostName } {
  const runner = holdersOf(lab).at(-1)!;
  return { runner, standby: runner === 'a' ? 'b' : 'a' };
}

/** Waits until the guest is protected, by an epoch that was acknowledged after this call. */
export async function untilProtected(lab: Lab, context: DrillContext): Promise<void> {
  const sinceMs = monotonicClock.nowMs();
  await until(lab, context, 'the guest to be protected again', () =>
    isProtectedSince(lab.events(rolesOf(lab).runner), sinceMs),
  );
}

/** The host took the record, after `sinceMs`, to run the guest without a backup. */
export const isSoloSince = (lab: Lab, host: HostName, sinceMs: number): boolean =>
  lab
    .events(host)
    .some((event) => event.kind === 'term' && event.mode === 'solo' && event.atMs > sinceMs);

/** Does harm, and waits until the other host has taken the guest over. */
async function takenOver(
  lab: NetworkedLab,
  context: DrillContext,
  harm: () => unknown,
): Promise<void> {
  const turns = holdersOf(lab).length;
  const atMs = monotonicClock.nowMs();
  await harm();
  await until(lab, context, 'the backup to take over', () => holdersOf(lab).length > turns);
  const { runner } = rolesOf(lab);
  const takeover = lab.events(runner).findLast(isKind('takeover'))!;
  const { decide, load, verify, resume } = takeover.phasesMs;
  const parts = Object.entries({ decide, load, verify, resume });
  context.progress.line(
    `host ${runner} runs the guest ${formatMs(takeover.atMs - atMs)} after the fault ` +
      `(${parts.map(([name, ms]) => `${name} ${formatMs(ms)}`).join(', ')})`,
  );
}

/** A pair that is not ready for it yet refuses; the guest runs where it was then. */
async function switchOver(lab: Lab, context: DrillContext, runner: HostName): Promise<void> {
  const { deadlineMs } = context.config.drill;
  const endAtMs = performance.now() + deadlineMs;
  for (;;) {
    const { status, said } = await lab.agent(runner).operate('switchover');
    if (status === 0) return;
    context.progress.line(said);
    const isToBeTried = /E_SWITCHOVER_(REFUSED|ROLLED_BACK)/.test(said);
    if (!isToBeTried || performance.now() > endAtMs) throw stepError(`switchover: ${said}`);
    await sleep(retryMs, undefined, { signal: context.signal });
  }
}

function nothingReplayed(lab: Lab, before: HostName): Check {
  lab.poll();
  const last = lab.events(before).findLast(isKind('epoch'));
  const takeover = lab.events(rolesOf(lab).runner).findLast(isKind('takeover'));
  return {
    name: 'nothing-replayed',
    ok: takeover?.planned === true && takeover.epoch === last?.epoch,
    detail:
      `the guest was paused at epoch ${last?.epoch} and resumed at epoch ${takeover?.epoch}, ` +
      (takeover?.planned === true ? 'as planned' : 'not as planned'),
  };
}

export async function until(
  lab: Lab,
  context: DrillContext,
  what: string,
  isSo: () => boolean,
): Promise<void> {
  const { deadlineMs } = context.config.drill;
  const endAtMs = performance.now() + deadlineMs;
  for (;;) {
    lab.poll();
    if (isSo()) return;
    if (performance.now() > endAtMs) throw stepError(`waited ${deadlineMs} ms for ${what}`);
    await sleep(pollMs, undefined, { signal: context.signal });
  }
}

export function guestPidOn(lab: Lab, host: HostName): number {
  const here = lab
    .events(host)
    .findLast((event) => event.kind === 'takeover' || isStartedGuest(event));
  if (here === undefined || !('pid' in here)) throw stepError(`host ${host} runs no guest`);
  return here.pid as number;
}

/** `turnsBefore`: the hosts that had been to run the guest before nobody was to take over. */
export function noTakeover(lab: Lab, turnsBefore: number, why: string): Check {
  const count = holdersOf(lab).length - turnsBefore;
  return {
    name: 'no-needless-takeover',
    ok: count === 0,
    detail: `${count} takeovers while ${why}`,
  };
}
