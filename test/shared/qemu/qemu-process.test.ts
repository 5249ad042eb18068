import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { isUnderstudyError } from '../../../shared/errors.ts';
import type { GuestName } from '../../../shared/ids.ts';
import { guestPaths } from '../../../shared/qemu/guest-options.ts';
import { identify, isRunning } from '../../../shared/qemu/process-record.ts';
import { QemuProcess } from '../../../shared/qemu/qemu-process.ts';
import { QmpClient } from '../../../shared/qemu/qmp.ts';
import { FakeMonitor } from './fake-monitor.ts';

test('a lost connection is made again, commands wait for it, and the end is told once', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'us-'));
  const stand = spawn('sleep', ['600'], { stdio: 'ignore' }); // stands for QEMU
  t.teardown(() => {
    stand.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  });
  await once(stand, 'spawn');
  const paths = guestPaths({
    name: 'x' as GuestName,
    memoryBytes: 4096,
    vcpus: 1,
    accelerator: 'tcg',
    disks: [],
    networks: [],
    extraArguments: [],
    runFolder: folder,
    memoryFolder: folder,
  });
  const monitor = new FakeMonitor(
    paths.monitor,
    ({ execute, id }) => `{"return": "${execute}", "id": ${id}}\n`,
  );
  t.teardown(() => monitor.close());
  const identity = identify(stand.pid!)!;
  const qmp = await QmpClient.connect({ path: paths.monitor });
  const qemu = new QemuProcess(identity, paths, qmp);
  const told: string[] = [];
  qemu.listen({ onQmpEvent: ({ event }) => told.push(event), onGone: (why) => told.push(why) });

  monitor.sockets[0]!.destroy();
  await once(monitor.sockets[0]!, 'close');
  await t.notThrowsAsync(async () => {
    for (let i = 0; i < 2; i++) {
      // The first may be sent before the loss is seen; it then fails, and the next one works.
      const answer = await qemu.execute('query-status').catch((error: Error) => error);
      if (answer === 'query-status') return;
      t.true(isUnderstudyError(answer, 'E_QMP_CLOSED'));
    }
    throw new Error('no new connection');
  });
  monitor.sockets[1]!.write('{"event": "RESET", "data": {}}\n');
  await qemu.execute('query-status');
  t.deepEqual(told, ['RESET']);

  writeFileSync(paths.log, 'qemu-system-x86_64: terminating on signal 15 from pid 1 (x)\n');
  await qemu.kill();
  t.false(isRunning(identity));
  monitor.close();
  const error = await t.throwsAsync(qemu.execute('stop'));
  t.true(isUnderstudyError(error, 'E_QEMU_EXITED'), String(error));
  t.deepEqual(told, ['RESET', 'QEMU ended: terminating on signal 15 from pid 1 (x)']);
  t.true(qemu.gone);
});
