import test from 'ava';
import fc from 'fast-check';
import { InputLog } from '../../../backup/input/input-log.ts';
import { HeldOutput } from '../../../primary/output/held-output.ts';
import { InputLogRule } from '../../../primary/output/input-log-rule.ts';
import type { AlarmClock } from '../../../shared/clock.ts';
import { epoch, sessionId } from '../../../shared/ids.ts';
import type { InputLogMessage } from '../../../shared/wire/input-body.ts';

const session = sessionId('00000000000000aa');

/** Time that goes on by `pass` only. */
class ManualClock implements AlarmClock {
  #nowMs = 0;
  readonly #ticks = new Set<() => void>();
  readonly #soon: (() => void)[] = [];

  nowMs(): number {
    return this.#nowMs;
  }

  after(): () => void {
    throw new Error('not needed');
  }

  every(_ms: number, run: () => void): () => void {
    this.#ticks.add(run);
    return () => this.#ticks.delete(run);
  }

  soon(run: () => void): void {
    this.#soon.push(run);
  }

  pass(ms: number): void {
    this.#nowMs += ms;
    for (const tick of this.#ticks) tick();
    for (const run of this.#soon.splice(0)) run();
  }
}

/**
 * A guest that is told numbered frames and says, in each of its own, which one it was told last;
 * a backup with its log; messages between them that wait to be delivered, or are lost.
 */
function labOf(bytesMax = 2 ** 22) {
  const clock = new ManualClock();
  const released: number[] = [];
  let wanted = 0;
  let told = 0;
  const held = new HeldOutput({
    ...{ mode: 'commit', clock },
    release: (_card, frame) => released.push(Buffer.from(frame).readUInt32BE(0)),
    onCheckpointWanted: () => {},
    onReading: () => {},
  });
  const warnings: string[] = [];
  const rule = new InputLogRule({
    ...{ held, clock, bytesMax, intervalMs: 5 },
    waitingBytes: () => 0,
    onCheckpointWanted: () => wanted++,
    onWarning: ({ code }) => warnings.push(code),
  });
  const log = new InputLog(bytesMax, ({ code }) => warnings.push(code));
  const toBackup: InputLogMessage[] = [];
  const toPrimary: number[] = [];
  rule.connect((message) => toBackup.push(message));
  log.begin(session);
  rule.hold();
  const numbered = (number: number, bytes: number) => {
    const frame = Buffer.alloc(bytes);
    frame.writeUInt32BE(number, 0);
    return frame;
  };
  return {
    ...{ clock, released, rule, log, toBackup, toPrimary, warnings },
    wanted: () => wanted,
    told: () => told,
    input: (bytes = 60) => rule.input(0, numbered(++told, bytes)),
    say: () => rule.frame(0, numbered(told, 60)),
    deliver: () => {
      for (const message of toBackup.splice(0)) {
        const sequence = log.add(session, message);
        if (sequence !== undefined) toPrimary.push(sequence);
      }
    },
    answer: () => {
      for (const sequence of toPrimary.splice(0)) rule.logged(sequence);
    },
  };
}

/** Protected, with epoch 1 on the backup. */
function protectedLab(bytesMax?: number) {
  const lab = labOf(bytesMax);
  lab.rule.barrier(epoch(1));
  lab.deliver();
  lab.log.committed(epoch(1));
  lab.rule.acknowledged(epoch(1));
  lab.answer();
  return lab;
}

test('an answer leaves once the input before it is logged, without a checkpoint', (t) => {
  const lab = protectedLab();
  lab.input();
  lab.say();
  lab.clock.pass(5);
  t.deepEqual(lab.released, []);
  lab.deliver();
  t.deepEqual(lab.released, []);
  lab.answer();
  t.deepEqual(lab.released, [1]);
  lab.say();
  t.deepEqual(lab.released, [1, 1], 'what follows no new input leaves at once');
});

test('before the first checkpoint is acknowledged no log lets anything out', (t) => {
  const lab = labOf();
  lab.input();
  lab.say();
  lab.clock.pass(5);
  lab.deliver();
  lab.answer();
  t.deepEqual(lab.released, []);
  lab.rule.barrier(epoch(1));
  lab.rule.acknowledged(epoch(1));
  t.deepEqual(lab.released, [1]);
});

test('a message or an answer that is lost costs time, not output', (t) => {
  const lab = protectedLab();
  lab.input();
  lab.say();
  lab.clock.pass(5);
  lab.toBackup.length = 0;
  lab.clock.pass(100);
  t.is(lab.toBackup.length, 0);
  lab.clock.pass(200);
  lab.deliver();
  lab.toPrimary.length = 0;
  lab.clock.pass(300);
  lab.deliver();
  lab.answer();
  t.deepEqual(lab.released, [1]);
});

test('a full log asks for a checkpoint, says so, holds output and loses none', (t) => {
  const lab = protectedLab(2 ** 20);
  for (let round = 0; round < 40; round++) {
    lab.input(60_000);
    lab.say();
    lab.clock.pass(5);
    lab.deliver();
    lab.answer();
  }
  t.true(lab.wanted() > 0);
  t.true(lab.warnings.includes('E_INPUT_LOG_FULL'));
  t.false(lab.rule.takesInput, 'the guest is told no more');
  const before = lab.released.length;
  t.true(before > 0 && before < 40);
  for (const number of [2, 3, 4, 5]) {
    lab.rule.barrier(epoch(number));
    lab.deliver();
    lab.log.committed(epoch(number));
    lab.rule.acknowledged(epoch(number));
    lab.clock.pass(250);
    lab.deliver();
    lab.answer();
  }
  t.true(lab.rule.takesInput);
  t.is(lab.released.length, 40);
});

test('after the session ends nothing of it is released, and the next one counts anew', (t) => {
  const lab = protectedLab();
  lab.input();
  lab.say();
  lab.clock.pass(5);
  lab.deliver();
  lab.rule.sessionEnded();
  lab.answer();
  t.deepEqual(lab.released, []);
  lab.rule.releaseAll();
  t.deepEqual(lab.released, [1]);
});

const step = fc.constantFrom(
  ...(['input', 'say', 'pass', 'lose', 'deliver', 'answer'] as const),
  ...(['barrier', 'commit', 'acknowledge'] as const),
);

test('whatever left can be told again: input behind it is logged, or in the checkpoint', (t) => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const lab = protectedLab();
      let [captured, committed, acked] = [1, 1, 1];
      // By epoch: the input that the guest has surely taken before, since it answered it.
      const taken = [0, 0];
      let answered = 0;
      for (const kind of steps) {
        switch (kind) {
          case 'say':
            answered = lab.told();
            lab.say();
            break;
          case 'input':
          case 'deliver':
          case 'answer':
            lab[kind]();
            break;
          case 'pass':
            lab.clock.pass(70);
            break;
          case 'lose':
            lab.toBackup.length = 0;
            lab.toPrimary.length = 0;
            break;
          case 'barrier':
            if (captured - acked >= 2) break;
            lab.rule.barrier(epoch(++captured));
            taken.push(answered);
            break;
          case 'commit':
            if (committed < captured) lab.log.committed(epoch(++committed));
            break;
          case 'acknowledge':
            if (acked === committed) break;
            acked = committed;
            lab.rule.acknowledged(epoch(acked));
            break;
        }
        const needs = Math.max(0, ...lab.released);
        const replayed = lab.log.toReplay.map(({ frame }) => Buffer.from(frame).readUInt32BE(0));
        for (let input = 1; input <= needs; input++) {
          t.true(input <= taken[committed]! || replayed.includes(input), `input ${input}`);
        }
      }
      t.deepEqual(
        lab.released,
        [...lab.released].sort((a, b) => a - b),
      );
    }),
    { numRuns: 300 },
  );
});
