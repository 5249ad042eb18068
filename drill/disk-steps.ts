import { spawnSync } from 'node:child_process';
import { mkdir, rm, stat } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { monotonicClock } from '../shared/clock.ts';
import type { Check } from './check.ts';
import { judgeDisk } from './checkers/disk-judge.ts';
import { stepError } from './drill-error.ts';
import { guestPidOn, rolesOf, until } from './faults.ts';
import type { Lab } from './lab.ts';
import { diskPath } from './lab-config.ts';
import { copyImage } from './lab-disks.ts';
import { isKind } from './measure.ts';
import { killIfThere } from './run-processes.ts';
import type { DrillContext } from './steps.ts';

/** Requests of a guest that stands still are answered within this time: they are on its disk. */
const settleMs = 50;

/**
 * The disk of the guest that runs, as it is at one instant, judged by programs of others. Nothing
 * where the guest has no disk that the drill made.
 */
export async function checkDataDisk(lab: Lab, context: DrillContext): Promise<Check[]> {
  if (context.config.drill.dataDisk === null) return [];
  const { runner } = rolesOf(lab);
  const image = diskPath(lab.sideOf(runner), 0);
  const folder = join(lab.folder.path, 'judged');
  const copy = join(folder, 'disk.raw');
  await mkdir(folder, { recursive: true });
  // What was acknowledged by now has to be there.
  const acknowledged = await context.witness.acknowledged();
  await standingStill(guestPidOn(lab, runner), () => copyImage(image, copy));
  const checks = await judgeDisk(copy, folder, acknowledged);
  // Of a check that failed the copy is kept with the logs.
  if (checks.every(({ ok }) => ok)) await rm(folder, { recursive: true });
  return checks;
}

/** Both hosts' images are the same byte for byte once the guest stands still. The guest stays so. */
export async function checkDisksAreEqual(lab: Lab, context: DrillContext): Promise<Check[]> {
  const { guest, drill } = context.config;
  if (drill.dataDisk === null) return [];
  const { runner } = rolesOf(lab);
  const sinceMs = monotonicClock.nowMs();
  const isStopped = () =>
    lab
      .events(runner)
      .some(
        (event) => event.kind === 'guest' && event.change === 'stopped' && event.atMs > sinceMs,
      );
  const socket = join(lab.sideOf(runner).runFolder, guest.name, 'operator.sock');
  let askedAtMs = Number.NEGATIVE_INFINITY;
  await until(lab, context, 'the guest to be stopped', () => {
    // One that meets the pause of a checkpoint ends with that pause.
    if (!isStopped() && performance.now() > askedAtMs + askAgainMs) {
      askedAtMs = performance.now();
      operatorStops(socket);
    }
    return isStopped();
  });
  const stoppedAtMs = monotonicClock.nowMs();
  await until(lab, context, 'an epoch of the guest that stands still', () => {
    const events = lab.events(runner);
    const taken = events.find((event) => event.kind === 'epoch' && event.pausedAtMs > stoppedAtMs);
    return (
      taken?.kind === 'epoch' && events.some((one) => isKind('ack')(one) && one.epoch > taken.epoch)
    );
  });
  const [a, b] = (['a', 'b'] as const).map((host) => diskPath(lab.sideOf(host), 0));
  const { status, stdout, stderr } = spawnSync('cmp', [a!, b!], { encoding: 'utf8' });
  const { blocks } = await stat(a!);
  return [
    {
      name: 'disks-are-equal',
      ok: status === 0,
      detail:
        status === 0
          ? `the disks of both hosts are the same byte for byte, ${blocks * 512} bytes of data`
          : `${stdout}${stderr}`.trim(),
    },
  ];
}

const askAgainMs = 2_000;

/** What an operator types into the guest's second monitor. */
function operatorStops(path: string): void {
  const socket = connect(path);
  socket.on('error', () => {});
  socket.on('data', (bytes) => {
    if (String(bytes).includes('"event"')) socket.destroy();
  });
  socket.write('{"execute":"qmp_capabilities"}\n{"execute":"stop"}\n');
  socket.setTimeout(askAgainMs, () => socket.destroy());
}

/** Does `work` while the guest's QEMU stands still, as a host does that has no time for it. */
async function standingStill(pid: number, work: () => Promise<void>): Promise<void> {
  if (!killIfThere(pid, 'SIGSTOP')) throw stepError(`the guest's QEMU ${pid} is gone`);
  try {
    await sleep(settleMs);
    await work();
  } finally {
    killIfThere(pid, 'SIGCONT');
  }
}
