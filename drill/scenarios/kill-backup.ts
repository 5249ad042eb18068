import { formatBytes } from '../amounts.ts';
import type { Check } from '../check.ts';
import { findRamFile } from '../checkers/ram-file.ts';
import type { Lab } from '../lab.ts';
import { isKind } from '../measure.ts';
import {
  type DrillContext,
  describeSync,
  type Findings,
  failPrimaryHost,
  isProtected,
  isUnprotected,
  startProtected,
  work,
} from '../steps.ts';

/** What a backup that comes back may need, at most, of what the guest's memory holds. */
const resyncShareMax = 0.2;

/**
 * The backup's host dies and comes back with what its memory folder held; it is brought level by
 * comparing digests; then the primary's host dies.
 */
export async function killBackup(lab: Lab, context: DrillContext): Promise<Findings> {
  const { config, progress } = context;
  await startProtected(lab, context);
  await work(lab, context);

  progress.heading('Backup dies and comes back');
  const from = lab.primary.tail.events.length;
  await lab.killBackupHost();
  progress.line(`SIGKILL to backup agent ${lab.backup.pid} and its standby`);
  await lab.waitFor(lab.primary, isUnprotected, {
    what: 'the primary to notice',
    alive: [lab.primary],
    from,
  });
  await lab.network?.powerOn('b');
  await lab.startBackup();
  await lab.waitFor(lab.primary, isProtected, {
    what: 'the guest to be protected again',
    alive: [lab.primary, lab.backup],
    from,
  });
  describeSync(lab.primary.tail.events, progress);
  await work(lab, context);
  const resync = await checkResync(lab, config.guest.memory);
  const findings = await failPrimaryHost(lab, context);
  return { ...findings, checks: [resync, ...findings.checks] };
}

async function checkResync(lab: Lab, memoryBytes: number): Promise<Check> {
  const syncs = lab.primaryEvents.filter(isKind('sync')).filter(({ phase }) => phase === 'done');
  const [first, last] = [syncs[0], syncs.at(-1)];
  const ram = await findRamFile(lab.primarySide.memoryFolder, memoryBytes);
  const isMeasured = ram !== undefined && last !== undefined && first !== last;
  return {
    name: 'resynchronises-by-digests',
    ok: isMeasured && last.bytes <= resyncShareMax * ram.allocatedBytes,
    detail: isMeasured
      ? `${formatBytes(last.bytes)} brought the backup level with the ` +
        `${formatBytes(ram.allocatedBytes)} that the guest's memory holds`
      : `${syncs.length} synchronisations were recorded, not two`,
  };
}
