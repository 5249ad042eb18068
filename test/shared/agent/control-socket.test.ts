import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { askAgent } from '../../../shared/agent/control-client.ts';
import { answerLine, parseAnswer, requestLine } from '../../../shared/agent/control-line.ts';
import { ControlSocket, controlSocketPath } from '../../../shared/agent/control-socket.ts';

function temporaryFolder(t: ExecutionContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'us-control-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

async function listen(
  t: ExecutionContext,
  folder: string,
  status: () => Promise<unknown> = async () => 'well',
): Promise<ControlSocket> {
  const socket = await ControlSocket.listen(folder, (line) => answerLine(line, { status }));
  t.teardown(() => socket.close());
  return socket;
}

/** All that a connection says until it is closed, however it is, after `text` was sent. */
async function converse(folder: string, text: string): Promise<string> {
  const socket = connect(controlSocketPath(folder));
  let said = '';
  socket.on('data', (bytes) => {
    said += bytes;
  });
  socket.on('error', () => {});
  socket.end(text);
  await new Promise((done) => socket.once('close', done));
  return said;
}

test.serial('only the own user can connect, whatever the mask of the process', async (t) => {
  const folder = join(temporaryFolder(t), 'run', 'guest');
  const mask = process.umask(0);
  t.teardown(() => process.umask(mask));
  await listen(t, folder);
  t.is(process.umask(), 0, 'the mask is what it was');
  t.is(statSync(controlSocketPath(folder)).mode & 0o777, 0o600);
  t.is(statSync(folder).mode & 0o777, 0o700);
  t.is(await askAgent(folder, 'guest', 'status'), 'well');
});

test.serial('a socket that a dead agent left is replaced', async (t) => {
  const folder = temporaryFolder(t);
  const path = controlSocketPath(folder);
  const script = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
  const { spawnSync } = await import('node:child_process');
  spawnSync(process.execPath, ['-e', script]);
  t.true(existsSync(path), 'it was left');
  await t.throwsAsync(askAgent(folder, 'g', 'status'), { code: 'E_AGENT_ABSENT' });
  await listen(t, folder);
  t.is(await askAgent(folder, 'g', 'status'), 'well');
});

test.serial('the socket of a living agent stays its own, and the error names it', async (t) => {
  const folder = temporaryFolder(t);
  await listen(t, folder);
  const error = await t.throwsAsync(
    ControlSocket.listen(folder, async () => 'stolen'),
    { code: 'E_GUEST_LOCKED' },
  );
  t.true(error.message.includes(`pid ${process.pid}`), error.message);
  t.is(await askAgent(folder, 'g', 'status'), 'well');
});

test.serial('an agent that ends takes its socket with it', async (t) => {
  const folder = temporaryFolder(t);
  const socket = await listen(t, folder);
  const idle = connect(controlSocketPath(folder));
  await once(idle, 'connect');
  await socket.close();
  t.false(existsSync(controlSocketPath(folder)));
  await t.throwsAsync(askAgent(folder, 'g', 'status'), { code: 'E_AGENT_ABSENT' });
  await listen(t, folder);
  t.is(await askAgent(folder, 'g', 'status'), 'well');
  idle.destroy();
});

test.serial('each request of a connection is answered, in order, one at a time', async (t) => {
  const folder = temporaryFolder(t);
  let running = 0;
  let count = 0;
  await listen(t, folder, async () => {
    running += 1;
    t.is(running, 1);
    await new Promise((done) => setTimeout(done, 5));
    running -= 1;
    count += 1;
    return count;
  });
  const said = await converse(folder, requestLine('status').repeat(4));
  const lines = said.trimEnd().split('\n');
  t.deepEqual(
    lines.map((line) => parseAnswer(line)),
    [1, 2, 3, 4].map((result) => ({ ok: true, result })),
  );
});

test.serial('garbage is refused, and the next connection is served', async (t) => {
  const folder = temporaryFolder(t);
  await listen(t, folder);
  t.regex(await converse(folder, 'status\n'), /E_CONTROL_REQUEST/);
  t.regex(await converse(folder, 'x'.repeat(100_000)), /E_CONTROL_LINE|^$/);
  const gone = connect(controlSocketPath(folder));
  gone.write('{"version":1,');
  gone.destroy();
  t.is(await askAgent(folder, 'g', 'status'), 'well');
});

test.serial('what is no agent is told apart from one that is absent', async (t) => {
  const folder = temporaryFolder(t);
  const server = createServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
  await new Promise<void>((done) => server.listen(controlSocketPath(folder), done));
  t.teardown(() => server.close());
  await t.throwsAsync(askAgent(folder, 'g', 'status'), { code: 'E_CONTROL_ANSWER' });
});

test.serial('an agent that hangs up without an answer is said to be silent', async (t) => {
  const folder = temporaryFolder(t);
  const server = createServer((socket) => socket.destroy());
  await new Promise<void>((done) => server.listen(controlSocketPath(folder), done));
  t.teardown(() => server.close());
  await t.throwsAsync(askAgent(folder, 'g', 'status'), { code: 'E_AGENT_SILENT' });
});

test.serial('a run folder that is no folder is refused with what to do', async (t) => {
  const folder = temporaryFolder(t);
  const file = join(folder, 'file');
  writeFileSync(file, '');
  chmodSync(file, 0o600);
  const listening = ControlSocket.listen(join(file, 'guest'), async () => '');
  await t.throwsAsync(listening, { code: 'E_RUN_FOLDER' });
});
