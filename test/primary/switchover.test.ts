import test from 'ava';
import type { PrimaryEvent, PrimaryState } from '../../primary/machine.ts';
import { Switchover } from '../../primary/switchover.ts';
import { bounds } from '../../shared/bounds.ts';
import { epoch, sessionId, term } from '../../shared/ids.ts';
import type { ControlChannel } from '../../shared/transport/control-channel.ts';
import { ManualClock } from './manual-clock.ts';

const session = sessionId('0123456789abcdef');
const handing: PrimaryState = { name: 'handing-over', session, epoch: epoch(9), acked: true };
const claiming: PrimaryState = { name: 'claiming' };

/** A switchover whose answer never comes; `isOurs` is what each look at the record finds. */
function handOver(isOurs: () => Promise<boolean>) {
  const clock = new ManualClock();
  const looksAtMs: number[] = [];
  const posted: PrimaryEvent[] = [];
  const switchover = new Switchover({
    clock,
    control: { ask: () => new Promise(() => {}) } as unknown as ControlChannel,
    post: (event) => posted.push(event),
    lookForHigher: async () => {
      looksAtMs.push(clock.nowMs());
      return await isOurs();
    },
  });
  switchover.begun(session);
  switchover.handOver({ session, term: term(3) }, epoch(9));
  return { clock, looksAtMs, posted, switchover };
}

test('where the backup’s answer is lost the record says soon that the guest runs there', async (t) => {
  let isOurs = true;
  const { clock, looksAtMs } = handOver(async () => isOurs);
  await clock.pass(bounds.handoverLookMs * 2);
  isOurs = false;
  await clock.pass(bounds.handoverMs);
  const everyMs = bounds.handoverLookMs;
  t.deepEqual(looksAtMs, [everyMs, everyMs * 2, everyMs * 3], 'what was found is enough');
});

test('one look at a time, and none once it is decided otherwise', async (t) => {
  let answer = (_isOurs: boolean) => {};
  const { clock, looksAtMs, posted, switchover } = handOver(
    () => new Promise((resolve) => (answer = resolve)),
  );
  await clock.pass(bounds.handoverMs);
  t.is(looksAtMs.length, 1, 'the record does not answer');
  t.like(posted, [{ kind: 'handover-failed', session }]);
  switchover.moved(handing, claiming, 'a test');
  answer(true);
  await clock.pass(bounds.handoverMs);
  t.is(looksAtMs.length, 1);
});
