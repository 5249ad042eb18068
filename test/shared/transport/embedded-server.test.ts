import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { isUnderstudyError, type UnderstudyError } from '../../../shared/errors.ts';
import { EmbeddedServer } from '../../../shared/transport/embedded-server.ts';
import { connectNats } from '../../../shared/transport/nats-transport.ts';

function lives(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function gone(pid: number): Promise<boolean> {
  for (let i = 0; i < 500 && lives(pid); i++) await sleep(10);
  return !lives(pid);
}

function temporaryFolder(t: { teardown: (end: () => void) => void }): string {
  const folder = mkdtempSync(join(tmpdir(), 'understudy-test-nats-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

test('it answers on a free port when it has started, and is gone when it has stopped', async (t) => {
  const server = await EmbeddedServer.start();
  t.teardown(() => server.stop());
  const transport = await connectNats({ servers: [server.url], name: 'test' });
  t.true(transport.connected);
  t.is(transport.payloadBytesMax, 2 * 1024 * 1024);
  await transport.close();
  await server.stop();
  t.true(await gone(server.pid));
  await t.notThrowsAsync(server.stop(), 'twice does no harm');
});

test('stop removes a temporary folder and leaves a given one with its store, without our files', async (t) => {
  const folder = temporaryFolder(t);
  const [own, given] = [await EmbeddedServer.start(), await EmbeddedServer.start({ folder })];
  t.true(existsSync(own.folder));
  t.is(given.folder, folder);
  await own.stop();
  await given.stop();
  t.false(existsSync(own.folder));
  t.true(existsSync(folder));
  t.deepEqual(readdirSync(folder).sort(), ['nats-server.conf', 'store']);
});

test('a port that is taken is told apart, and nothing is left behind', async (t) => {
  const first = await EmbeddedServer.start();
  t.teardown(() => first.stop());
  const error = await t.throwsAsync(EmbeddedServer.start({ port: first.port }));
  t.true(isUnderstudyError(error, 'E_NATS_PORT_IN_USE'), String(error));
});

test('a folder serves one server at a time, and again after a crash of its owner', async (t) => {
  const folder = temporaryFolder(t);
  const first = await EmbeddedServer.start({ folder });
  t.teardown(() => first.stop());
  const error = await t.throwsAsync(EmbeddedServer.start({ folder }));
  t.true(isUnderstudyError(error, 'E_NATS_STORE_IN_USE'), String(error));
  await first.stop();
  // A lock that a dead process left behind: a pid that lives, but started at another time.
  writeFileSync(join(folder, 'understudy.lock'), `${process.pid} 1`);
  const second = await EmbeddedServer.start({ folder });
  t.teardown(() => second.stop());
  t.true(lives(second.pid));
});

test('a server that can not start is told with the last lines of its log', async (t) => {
  const folder = temporaryFolder(t);
  writeFileSync(join(folder, 'store'), 'a file where the store should be');
  const error = await t.throwsAsync(EmbeddedServer.start({ folder }));
  t.true(isUnderstudyError(error, 'E_NATS_SERVER_EXIT'), String(error));
  t.regex(error.message, /storage directory is not a directory/);
});

test('a server that ends by itself is told to its owner', async (t) => {
  const told: string[] = [];
  const server = await EmbeddedServer.start({ onExit: (error) => told.push(error.code) });
  t.teardown(() => server.stop());
  process.kill(server.pid, 'SIGKILL');
  t.true(await gone(server.pid));
  for (let i = 0; i < 200 && told.length === 0; i++) await sleep(10);
  t.deepEqual(told, ['E_NATS_SERVER_EXIT']);
});

test('a missing nats-server is an error with the line that installs it', async (t) => {
  const error = await t.throwsAsync(EmbeddedServer.start({ programFolders: [] }));
  t.true(isUnderstudyError(error, 'E_NATS_SERVER_MISSING'));
  t.is((error as UnderstudyError).hint, 'apt-get install nats-server');
});

test('a parent that is killed takes its server along', async (t) => {
  const program = `
    const { EmbeddedServer } = await import(process.argv[1]);
    const server = await EmbeddedServer.start({ folder: process.argv[2] });
    process.stdout.write(String(server.pid));
    setInterval(() => {}, 1000);`;
  const url = new URL('../../../shared/transport/embedded-server.js', import.meta.url).href;
  const folder = temporaryFolder(t);
  const child = spawn(process.execPath, ['--input-type=module', '-e', program, url, folder]);
  t.teardown(() => child.kill('SIGKILL'));
  const pid = await new Promise<number>((resolve) => {
    child.stdout.once('data', (text) => resolve(Number(text)));
  });
  t.true(lives(pid));
  child.kill('SIGKILL');
  t.true(await gone(pid));
});
