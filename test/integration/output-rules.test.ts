import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { HeldOutput } from '../../primary/output/held-output.ts';
import { monotonicClock } from '../../shared/clock.ts';
import { MemoryBus } from '../../shared/transport/memory-bus.ts';
import { type RunningPrimary, startBackup, startPrimary, tmpfsFolder } from './synthetic-pair.ts';

/** Output that says, for each frame, what the guest had counted to; what leaves is kept. */
function countingOutput() {
  const left: number[] = [];
  const output = new HeldOutput({
    mode: 'commit',
    clock: monotonicClock,
    release: (_card, frame) => left.push(Buffer.from(frame).readDoubleLE(0)),
    onCheckpointWanted: () => {},
    onReading: () => {},
  });
  const say = (counter: number) => {
    const frame = Buffer.alloc(60);
    frame.writeDoubleLE(counter, 0);
    output.frame(0, frame);
  };
  return { output, left, say };
}

/** The guest says its counter every few milliseconds, until the test ends. */
function talk(primary: RunningPrimary, say: (counter: number) => void): () => void {
  const timer = setInterval(() => {
    if (primary.guest.isRunning) say(primary.guest.counter);
  }, 2);
  return () => clearInterval(timer);
}

async function until(holds: () => boolean, what: string): Promise<void> {
  for (const end = performance.now() + 120_000; !holds(); await sleep(5)) {
    if (performance.now() > end) throw new Error(`never: ${what}`);
  }
}

test('while NATS is away a protected guest runs on and nothing that it says leaves', async (t) => {
  const bus = new MemoryBus({ seed: 31, time: 'real' });
  await startBackup(t, bus, tmpfsFolder(t));
  const { output, left, say } = countingOutput();
  const primary = startPrimary(t, bus, { output });
  t.teardown(talk(primary, say));
  await primary.events.find('state', ({ to }) => to === 'protected');
  await primary.events.find('ack', ({ epoch }) => epoch >= 5);
  await until(() => left.length > 0, 'output leaves');
  primary.transport.disconnect();
  await sleep(50);
  const [said, counter] = [left.length, primary.guest.counter];
  await sleep(300);
  t.true(primary.guest.counter > counter, 'it runs');
  t.is(left.length, said);
  primary.transport.reconnect();
  await until(() => left.length > said, 'output leaves again');
  t.deepEqual(
    left,
    [...left].sort((a, b) => a - b),
    'in order',
  );
});

test('with the policy stop a guest whose backup is lost stands still, and runs when one is level', async (t) => {
  const bus = new MemoryBus({ seed: 32, time: 'real' });
  const folder = tmpfsFolder(t);
  const first = await startBackup(t, bus, folder);
  const { output, left, say } = countingOutput();
  const primary = startPrimary(t, bus, { output, onBackupLost: 'stop' });
  t.teardown(talk(primary, say));
  await primary.events.find('ack', ({ epoch }) => epoch >= 5);
  const from = primary.events.events.length;
  await first.stop();
  primary.watch.fallSilent();
  const waits = await primary.events.find('warning', ({ code }) => code === 'E_GUEST_WAITS', from);
  t.regex(waits.hint, /onBackupLost/);
  const joining = await primary.events.find('state', ({ to }) => to === 'joining', from);
  t.regex(joining.cause, /the guest waits/);
  const [said, counter] = [left.length, primary.guest.counter];
  await sleep(300);
  t.is(primary.guest.counter, counter, 'it stands still');
  t.is(left.length, said, 'and what it said last is held');
  await startBackup(t, bus, folder, first.memory);
  await primary.events.find('state', ({ to }) => to === 'protected', from);
  await until(() => primary.guest.counter > counter, 'it runs again');
  await until(() => left.length > said, 'what it said leaves');
});

test('with the policy stop an operator lets the guest go on without a backup', async (t) => {
  const bus = new MemoryBus({ seed: 34, time: 'real' });
  const backup = await startBackup(t, bus, tmpfsFolder(t));
  const { output, left, say } = countingOutput();
  const primary = startPrimary(t, bus, { output, onBackupLost: 'stop' });
  t.teardown(talk(primary, say));
  await primary.events.find('ack', ({ epoch }) => epoch >= 3);
  await backup.stop();
  primary.watch.fallSilent();
  await primary.events.find('warning', ({ code }) => code === 'E_GUEST_WAITS');
  await until(() => !primary.guest.isRunning, 'it stands still');
  const said = left.length;
  primary.agent.wish('go-on');
  await until(() => primary.guest.isRunning, 'it runs');
  await until(() => left.length > said, 'what it says leaves');
  t.deepEqual(
    left,
    [...left].sort((a, b) => a - b),
  );
});

test('with the policy stop the end of the agent leaves the guest running', async (t) => {
  const bus = new MemoryBus({ seed: 33, time: 'real' });
  const backup = await startBackup(t, bus, tmpfsFolder(t));
  const primary = startPrimary(t, bus, { onBackupLost: 'stop' });
  await primary.events.find('ack', ({ epoch }) => epoch >= 3);
  await backup.stop();
  primary.watch.fallSilent();
  await primary.events.find('warning', ({ code }) => code === 'E_GUEST_WAITS');
  await until(() => !primary.guest.isRunning, 'it stands still');
  await primary.stop();
  t.true(primary.guest.isRunning);
});
