import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import test from 'ava';
import { FolderLock } from '../../../backup/store/folder-lock.ts';
import { ArrayMemory } from './array-memory.ts';
import { StoreCase } from './store-case.ts';

const folder = mkdtempSync('/dev/shm/understudy-lock-');
test.after.always(() => rmSync(folder, { recursive: true, force: true }));

test.serial('a replica has one owner at a time, and the lock ends with it', async (t) => {
  const module = new URL('../../../backup/store/folder-lock.js', import.meta.url);
  // The sleeping grandchild must not carry the lock on, as a QEMU must not.
  const script = `
    import { spawn } from 'node:child_process';
    const { FolderLock } = await import('${module}');
    FolderLock.acquire('${folder}');
    const other = spawn('sleep', ['60'], { stdio: 'ignore', detached: true });
    console.log(other.pid);
    setInterval(() => {}, 1000);`;
  const owner = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let other = 0;
  try {
    const [line] = (await once(owner.stdout, 'data')) as [Buffer];
    other = Number(line.toString());
    t.throws(() => FolderLock.acquire(folder), { code: 'E_REPLICA_LOCKED' });
    owner.kill('SIGKILL');
    await once(owner, 'exit');
    const lock = FolderLock.acquire(folder);
    t.throws(() => FolderLock.acquire(folder), { code: 'E_REPLICA_LOCKED' });
    lock.release();
    lock.release();
    FolderLock.acquire(folder).release();
  } finally {
    owner.kill('SIGKILL');
    if (other > 0) process.kill(other, 'SIGKILL');
  }
});

test('a store that could not be opened does not keep the folder locked', async (t) => {
  const at = StoreCase.array(16, 8);
  try {
    await at.open();
    at.close();
    await t.throwsAsync(at.open({ guest: 'other' }), { code: 'E_REPLICA_MISMATCH' });
    const store = await at.open();
    const second = new StoreCase(new ArrayMemory(16), 8, at.folder);
    await t.throwsAsync(second.open(), { code: 'E_REPLICA_LOCKED' });
    t.is(store.holds(), null);
  } finally {
    at.remove();
  }
});
