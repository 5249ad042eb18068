import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { isUnderstudyError } from '../../../shared/errors.ts';
import { ReadyCommand } from '../../../shared/qemu/ready-command.ts';
import { done, FakeMonitor, type Request } from './fake-monitor.ts';

function ready(t: ExecutionContext, answer: (request: Request) => string) {
  const folder = mkdtempSync(join(tmpdir(), 'understudy-ready-'));
  const path = join(folder, 'monitor.sock');
  const heard: string[] = [];
  const monitor = new FakeMonitor(path, (request) => {
    heard.push(request.execute);
    return answer(request);
  });
  const command = new ReadyCommand(path, 'save', { filename: 'a'.repeat(100) });
  t.teardown(() => {
    command.close();
    monitor.close();
    rmSync(folder, { recursive: true, force: true });
  });
  return { command, monitor, heard, path };
}

/** Until it has run once; before it is ready it does not. */
async function runs(t: ExecutionContext, command: ReadyCommand): Promise<void> {
  for (let i = 0; i < 6000; i++) {
    command.prepare();
    if (await command.run()) return;
    await sleep(10);
  }
  t.fail('it was never ready');
}

test('a command that was made ready runs when it is wanted, once each time', async (t) => {
  const { command, heard, monitor } = ready(t, done);
  t.false(await command.run(), 'it was not made ready');
  await runs(t, command);
  t.deepEqual(heard, ['qmp_capabilities', 'save']);
  t.false(await command.run(), 'it was not made ready again');
  command.prepare();
  command.prepare();
  await sleep(20);
  t.deepEqual(heard, ['qmp_capabilities', 'save'], 'nothing runs before it is wanted');
  t.true(await command.run());
  t.deepEqual(heard, ['qmp_capabilities', 'save', 'save']);
  t.is(monitor.sockets.length, 1);
});

test('a connection that ends is made again, and what it was told is not done', async (t) => {
  const { command, heard, monitor } = ready(t, done);
  await runs(t, command);
  command.prepare();
  monitor.sockets[0]!.destroy();
  t.false(await command.run(), 'the caller goes another way');
  await runs(t, command);
  t.deepEqual(heard, ['qmp_capabilities', 'save', 'qmp_capabilities', 'save']);
});

test('what QEMU refuses is told, and the command can be made ready again', async (t) => {
  let refuses = true;
  const { command } = ready(t, (request) => {
    if (request.execute !== 'save' || !refuses) return done(request);
    return `{"id": ${request.id}, "error": {"class": "GenericError", "desc": "no room"}}\n`;
  });
  const error = await t.throwsAsync(runs(t, command));
  t.true(isUnderstudyError(error, 'E_QMP_ERROR'));
  refuses = false;
  command.prepare();
  t.true(await command.run());
});

test('where there is no such monitor it is never ready', async (t) => {
  const { command, monitor, path } = ready(t, done);
  monitor.close();
  rmSync(path, { force: true });
  command.prepare();
  t.false(await command.run());
});
