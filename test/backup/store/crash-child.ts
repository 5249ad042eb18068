/**
 * A backup that dies. Opens the store in a folder, delivers a script, and is killed by SIGKILL at
 * its n-th change to the file system: before it, or halfway through the write.
 *
 *   node crash-child.js '{"folder", "seed", "pageCount", "stagingBytesMax", "steps",
 *                         "killAtChange", "torn"}'
 *
 * Says on standard output, one line each: `held SESSION EPOCH` when a commit has returned,
 * `changes N` at its end.
 */
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import type { ScriptStep } from './scripted-epochs.ts';

export interface CrashOrder {
  readonly folder: string;
  readonly seed: number;
  readonly pageCount: number;
  readonly stagingBytesMax: number;
  readonly steps: readonly ScriptStep[];
  /** From 1; 0: never. */
  readonly killAtChange: number;
  readonly torn: boolean;
}

type WriteSync = (fd: number, from: Uint8Array, at: number, bytes: number, to: number) => number;

const order = JSON.parse(process.argv[2] ?? '{}') as CrashOrder;
let changes = 0;

const say = (line: string): void => {
  plainWrite(1, Buffer.from(`${line}\n`), 0, line.length + 1, null as unknown as number);
};
const die = (): never => {
  process.kill(process.pid, 'SIGKILL');
  throw new Error('still alive');
};
const isLast = (): boolean => ++changes === order.killAtChange;

const plainWrite = fs.writeSync as unknown as WriteSync;
const plainTruncate = fs.ftruncateSync;
const plainRename = fs.renameSync;
const patched = fs as unknown as {
  writeSync: WriteSync;
  ftruncateSync(fd: number, bytes: number): void;
  renameSync(from: string, to: string): void;
};
patched.writeSync = (fd, from, at, bytes, to) => {
  if (isLast()) {
    if (order.torn) plainWrite(fd, from, at, bytes >> 1, to);
    die();
  }
  return plainWrite(fd, from, at, bytes, to);
};
patched.ftruncateSync = (fd: number, bytes: number): void => {
  if (isLast()) die();
  plainTruncate(fd, bytes);
};
patched.renameSync = (from: string, to: string): void => {
  if (isLast()) die();
  plainRename(from, to);
};
syncBuiltinESMExports();

// Only now: these modules take the patched functions.
const { RamFile } = await import('../../../shared/memory/ram-file.ts');
const { ReplicaStore } = await import('../../../backup/store/replica-store.ts');
const { deliver, scriptedEpochs } = await import('./scripted-epochs.ts');

const memoryBytes = order.pageCount * 4096;
const memory = RamFile.open(join(order.folder, 'ram'), memoryBytes);
const store = await ReplicaStore.open({
  folder: join(order.folder, 'replica'),
  guest: 'crash' as never,
  memory,
  stagingBytesMax: order.stagingBytesMax,
});
for await (const scripted of scriptedEpochs(order.seed, order.pageCount, order.steps)) {
  await deliver(store, scripted);
  say(`held ${scripted.start.session} ${scripted.start.epoch}`);
}
say(`changes ${changes}`);
store.close();
