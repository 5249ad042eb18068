import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { InputLog } from '../../backup/input/input-log.ts';
import { HeldOutput } from '../../primary/output/held-output.ts';
import { InputLogRule } from '../../primary/output/input-log-rule.ts';
import { monotonicClock } from '../../shared/clock.ts';
import { MemoryBus } from '../../shared/transport/memory-bus.ts';
import { startBackup, startPrimary, tmpfsFolder } from './synthetic-pair.ts';

test('what clients were told is told again to the guest: all input behind it survives a takeover', async (t) => {
  const bus = new MemoryBus({
    seed: 41,
    time: 'real',
    lossRate: 0.05,
    delayMsMin: 0,
    delayMsMax: 3,
  });
  const inputLog = new InputLog(2 ** 22, ({ code }) => t.log(code));
  const backup = await startBackup(t, bus, tmpfsFolder(t), undefined, { inputLog });
  const answered: number[] = [];
  const held = new HeldOutput({
    ...{ mode: 'commit', clock: monotonicClock },
    release: (_card, frame) => answered.push(Buffer.from(frame).readUInt32BE(0)),
    onCheckpointWanted: () => {},
    onReading: () => {},
  });
  const rule = new InputLogRule({
    ...{ held, clock: monotonicClock, intervalMs: 2, bytesMax: 2 ** 22, waitingBytes: () => 0 },
    onCheckpointWanted: () => {},
    onWarning: ({ code }) => t.log(code),
  });
  // No checkpoint but the first: it would let out what was said before it, logged or not.
  const primary = startPrimary(t, bus, { output: rule, inputLog: rule, intervalMs: 600_000 });
  await primary.events.find('state', ({ to }) => to === 'protected');
  let asked = 0;
  const asking = setInterval(() => {
    const frame = Buffer.alloc(60);
    frame.writeUInt32BE(++asked, 0);
    rule.input(0, frame);
    rule.frame(0, frame);
  }, 2);
  t.teardown(() => clearInterval(asking));
  for (const end = performance.now() + 120_000; answered.length < 200; await sleep(5)) {
    if (performance.now() > end) throw new Error(`${answered.length} answers`);
  }
  const epochs = primary.events.events.filter(({ kind }) => kind === 'ack').length;
  primary.vanish();
  clearInterval(asking);
  backup.watch.fallSilent();
  await backup.events.find('takeover');
  const told = answered.at(-1)!;
  const again = new Set(inputLog.toReplay.map(({ frame }) => Buffer.from(frame).readUInt32BE(0)));
  for (let number = 1; number <= told; number++) t.true(again.has(number), `input ${number}`);
  t.true(told > epochs, 'answers did not wait for checkpoints');
});
