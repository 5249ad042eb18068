import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';

/** The two daemons as an operator meets them, without NATS: what they say and how they end. */

const launcher = fileURLToPath(new URL('../../../bin/understudy', import.meta.url));

interface Agent {
  readonly child: ChildProcess;
  readonly lines: () => Record<string, unknown>[];
  readonly ended: Promise<number | null>;
  waitFor(event: string): Promise<void>;
}

/** A port of this machine on which nothing listens. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const address = server.address();
  await new Promise((done) => server.close(done));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

async function start(t: ExecutionContext, role: string, deadlineMs: number): Promise<Agent> {
  const folder = mkdtempSync(join(tmpdir(), 'understudy-agent-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, 'agent.yaml');
  const server = `nats://127.0.0.1:${await freePort()}`;
  writeFileSync(
    file,
    JSON.stringify({
      role,
      guest: { name: 'agents-test', kernel: 'none', runFolder: 'run', memoryFolder: 'memory' },
      nats: { servers: [server], connectDeadlineMs: deadlineMs },
      log: { eventsFile: 'events.jsonl' },
    }),
  );
  const child = spawn(launcher, [role, '-c', file], { stdio: ['ignore', 'pipe', 'pipe'] });
  t.teardown(() => child.kill('SIGKILL'));
  let text = '';
  let printed = '';
  child.stderr.on('data', (data) => {
    text += data;
  });
  child.stdout.on('data', (data) => {
    printed += data;
  });
  const ended = new Promise<number | null>((done) =>
    child.on('close', (code) => {
      t.is(printed, '', 'an agent prints nothing on standard output');
      t.is(readFileSync(join(folder, 'events.jsonl'), 'utf8'), '');
      done(code);
    }),
  );
  const lines = () =>
    text
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line));
  const waitFor = async (event: string) => {
    const giveUpAt = Date.now() + 60_000;
    while (!lines().some((line) => line.event === event)) {
      if (Date.now() > giveUpAt) throw new Error(`no ${event} in: ${text}`);
      await new Promise((done) => setTimeout(done, 20));
    }
  };
  return { child, lines, ended, waitFor };
}

for (const role of ['primary', 'backup']) {
  test(`a ${role} that finds no NATS ends with one clear error`, async (t) => {
    const agent = await start(t, role, 300);
    t.is(await agent.ended, 1);
    const [started, failure, ...more] = agent.lines();
    t.deepEqual(more, []);
    t.like(started, { level: 'info', role, guest: 'agents-test', event: 'started' });
    t.like(failure, { level: 'error', event: 'failure', code: 'E_NATS_UNREACHABLE' });
  });

  test(`a ${role} that is asked to stop while it waits for NATS ends well`, async (t) => {
    const agent = await start(t, role, 600_000);
    await agent.waitFor('started');
    // Give it the time to be somewhere in its start; wherever that is, the promise is the same.
    await new Promise((done) => setTimeout(done, 300));
    agent.child.kill('SIGTERM');
    t.is(await agent.ended, 0);
    t.deepEqual(
      agent.lines().map(({ level, event }) => [level, event]),
      [
        ['info', 'started'],
        ['info', 'stopping'],
        ['info', 'stopped'],
      ],
    );
  });
}
