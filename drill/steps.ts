import { setTimeout as sleep } from 'node:timers/promises';
import { monotonicClock } from '../shared/clock.ts';
import type { LabConfig } from '../shared/config/schema.ts';
import { isUnderstudyError } from '../shared/errors.ts';
import type { TimedEvent } from '../shared/observe/events.ts';
import type { Random } from '../shared/random.ts';
import { formatBytes, formatCount, formatMs } from './amounts.ts';
import type { Check } from './check.ts';
import type { Stretch, Testimony, Witness } from './checkers/witness.ts';
import { checkDataDisk } from './disk-steps.ts';
import { stepError } from './drill-error.ts';
import { checkEpoch, checkRam, findCheckpoint } from './judge.ts';
import { isStartedGuest, type Lab } from './lab.ts';
import { type EventOf, isKind } from './measure.ts';
import type { Progress } from './progress.ts';

/** What a scenario is given besides the lab. */
export interface DrillContext {
  readonly config: LabConfig;
  readonly witness: Witness;
  readonly random: Random;
  readonly progress: Progress;
  readonly signal: AbortSignal;
  /** For how long a scenario goes on that has no end of its own. */
  readonly durationMs: number;
}

/** What a scenario found, beside the agents' events. */
export interface Findings {
  /** Null where no host was killed for good. */
  readonly killedAtMs: number | null;
  readonly resumedEpoch: number | null;
  readonly ramVerified: boolean;
  readonly testimony: Testimony;
  readonly checks: readonly Check[];
}

export const isProtected = (event: TimedEvent): event is EventOf<'state'> =>
  event.kind === 'state' && event.role === 'primary' && event.to === 'protected';

export const isUnprotected = (event: TimedEvent): event is EventOf<'state'> =>
  event.kind === 'state' && event.role === 'primary' && event.from === 'protected';

/** Server, backup, primary, guest; returns when the guest is protected and serves its client. */
export async function startProtected(lab: Lab, context: DrillContext): Promise<void> {
  const { progress, witness } = context;
  progress.heading('Start');
  await lab.makeDisks();
  await lab.startServer();
  progress.line(describePlace(lab));
  await lab.startBackup();
  await lab.startPrimary();
  progress.line(`primary agent ${lab.primary.pid}, backup agent ${lab.backup.pid}`);
  const alive = [lab.primary, lab.backup];
  await lab.waitFor(lab.primary, isStartedGuest, { what: 'the guest to start', alive });
  progress.line(`guest: QEMU ${lab.guestPid()}`);

  progress.heading('Protect');
  await lab.waitFor(lab.primary, isProtected, { what: 'the guest to be protected', alive });
  describeSync(lab.primary.tail.events, progress);
  await witness.begin();
  lab.servesFromMs = monotonicClock.nowMs();
  progress.line('the guest serves its client');
}

/** The guest works, protected, for `workMs` and a part of it that is drawn. */
export async function work(lab: Lab, context: DrillContext): Promise<void> {
  const { config, random } = context;
  await workFor(lab, context, config.drill.workMs * (1 + random.unit() / 4));
}

/** Throws `E_DRILL_STEP` where protection broke although nothing was done to anybody. */
export async function workFor(lab: Lab, context: DrillContext, ms: number): Promise<void> {
  const { progress, signal } = context;
  const endAtMs = performance.now() + ms;
  const from = lab.primary.tail.events.length;
  while (performance.now() < endAtMs) {
    signal.throwIfAborted();
    checkProtected(lab, from);
    const line = describeEpoch(lab.primary.tail.events);
    if (line !== undefined) progress.live(line);
    await sleep(Math.min(200, Math.max(1, endAtMs - performance.now())), undefined, { signal });
  }
  checkProtected(lab, from);
  await context.witness.beforeFault();
}

/**
 * Throws where protection broke although nothing was done to anybody: `from` is the first event
 * of the primary to look at.
 */
function checkProtected(lab: Lab, from: number): void {
  lab.primary.tail.poll();
  lab.backup.tail.poll();
  for (const agent of [lab.primary, lab.backup]) {
    if (agent.ended !== undefined) throw stepError(`the ${agent.role} agent ${agent.ended}`);
  }
  if (lab.backupEvents.some(isKind('takeover'))) {
    throw stepError('the backup took over from a primary that lived');
  }
  const broken = lab.primaryEvents.slice(from).find(isUnprotected);
  if (broken !== undefined) throw stepError(`protection broke: ${broken.cause}`);
}

/** Kills the primary's host, waits for the takeover and looks at what goes on. */
export async function failPrimaryHost(lab: Lab, context: DrillContext): Promise<Findings> {
  const { config, random, progress, signal, witness } = context;
  // Anywhere within an epoch: in the pause, while encoding, while on the wire.
  await sleep(random.unit() * 2 * config.epoch.intervalMs, undefined, { signal });
  const from = lab.backup.tail.events.length;
  const victims = `primary agent ${lab.primary.pid} and QEMU ${lab.guestPid()}`;
  const killedAtMs = await lab.killPrimaryHost();
  progress.heading('Host dies');
  progress.line(`SIGKILL to ${victims}`);

  const { event: takeover } = await lab.waitFor(lab.backup, isKind('takeover'), {
    what: 'the backup to take over',
    alive: [lab.backup],
    from,
  });
  lab.primary.tail.poll();
  const { events } = lab.primary.tail;
  const checkpoint = findCheckpoint(events, takeover);
  const ram = checkRam(checkpoint, takeover);
  progress.heading('The guest goes on');
  const testimony = await examine(witness, checkpoint, signal);
  const disk = await checkDataDisk(lab, context);
  return {
    killedAtMs,
    resumedEpoch: takeover.epoch,
    ramVerified: ram.ok,
    testimony,
    checks: [ram, checkEpoch(events, takeover, checkpoint), ...testimony.checks, ...disk],
  };
}

/** A service that does not answer is a check that failed, beside the others. */
export async function examine(
  witness: Witness,
  checkpoint: EventOf<'epoch'> | undefined,
  signal: AbortSignal,
  stretches?: readonly Stretch[],
): Promise<Testimony> {
  try {
    return await witness.examine(checkpoint, stretches);
  } catch (error) {
    if (signal.aborted || !isUnderstudyError(error)) throw error;
    return {
      checks: [{ name: 'guest-answers', ok: false, detail: error.message }],
      guestContinued: false,
      dataLost: null,
      unprotectedWrites: null,
      servedAtMs: null,
      client: null,
    };
  }
}

function describePlace({ network }: Lab): string {
  if (network === undefined) return 'NATS server on loopback';
  const count = network.servers.length;
  const nats = count === 1 ? 'a NATS server' : `${count} NATS servers`;
  return `network namespaces for two hosts, a client and ${nats}; links between them`;
}

export function describeSync(events: readonly TimedEvent[], progress: Progress): void {
  const sync = events.filter(isKind('sync')).findLast(({ phase }) => phase === 'done');
  if (sync === undefined) return;
  const { by, pages, bytes, syncMs } = sync;
  const how = by === 'handover' ? 'without digests' : 'by digests';
  progress.line(
    `synchronised ${how}: ${formatCount(pages)} pages in ${formatBytes(bytes)}, ${formatMs(syncMs)}`,
  );
}

function describeEpoch(events: readonly TimedEvent[]): string | undefined {
  const epoch = events.findLast(isKind('epoch'));
  if (epoch === undefined) return undefined;
  const ack = events.findLast(isKind('ack'));
  const share = `${formatBytes(epoch.wireBytes)} of ${formatBytes(epoch.pageBytes)}`;
  return [
    `epoch ${epoch.epoch}`,
    `pause ${formatMs(epoch.pauseMs)}`,
    `${formatCount(epoch.dirtyPages)} dirty pages`,
    `${share} on the wire`,
    `acknowledged ${ack?.epoch ?? 0}, ${formatMs(ack?.lagMs ?? null)} behind`,
  ].join(' · ');
}
