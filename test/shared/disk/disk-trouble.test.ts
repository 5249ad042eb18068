import test from 'ava';
import { type Trouble, troubleOf } from '../../../shared/disk/disk-trouble.ts';
import { UnderstudyError } from '../../../shared/errors.ts';

const failed = Object.assign(new Error('EIO: i/o error, fdatasync'), { code: 'EIO' });

function told(what: Trouble, runsHere: boolean, error: unknown = failed): string | undefined {
  const found = troubleOf({ path: '/d.raw', what, error, runsHere });
  return found && `${found.code} ${found.message}`;
}

test('what failed of a disk is said of whom it concerns: the guest, this agent, or a replica', (t) => {
  for (const what of ['reading', 'writing', 'syncing'] as const) {
    t.is(told(what, true), `E_DISK_IO ${what} /d.raw failed for the guest, which was told: EIO`);
  }
  t.regex(told('own syncing', true)!, /for this agent: EIO; the guest's next FLUSH is told/);
  const ofReplica = told('own syncing', false)!;
  t.regex(ofReplica, /this host's replica \/d\.raw failed: EIO; its guest is not concerned/);
  t.regex(
    troubleOf({ path: '/d.raw', what: 'own syncing', error: failed, runsHere: false })!.hint,
    /verify/,
  );
});

test('a change that could not be remembered keeps its own code, and a mistake of ours is none', (t) => {
  const cause = Object.assign(new Error('no room'), { code: 'ENOSPC' });
  const map = new UnderstudyError('E_DISK_MAP', 'a map', { hint: 'Room.', cause });
  t.regex(String(told('writing', true, map)), /^E_DISK_MAP a map; writing \/d\.raw was refused/);
  t.is(told('writing', true, new TypeError('ours')), undefined);
});
