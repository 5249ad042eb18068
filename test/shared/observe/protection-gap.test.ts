import test from 'ava';
import { EventHub } from '../../../shared/observe/event-hub.ts';
import type { AgentEvent, TimedEvent } from '../../../shared/observe/events.ts';
import { ProtectionGap } from '../../../shared/observe/protection-gap.ts';

/** What is said about `events`, each 100 ms after the one before. */
function gapsOf(...events: readonly (string | AgentEvent)[]): number[] {
  let nowMs = 0;
  const heard: TimedEvent[] = [];
  const hub = new EventHub({ nowMs: () => nowMs });
  hub.subscribe((event) => heard.push(event));
  const gap = new ProtectionGap(hub.emit);
  hub.subscribe((event) => gap.note(event));
  for (const event of events) {
    nowMs += 100;
    if (typeof event !== 'string') {
      hub.emit(event);
      continue;
    }
    const [from, to] = event.split(' ') as [string, string];
    hub.emit({ kind: 'state', role: 'primary', from, to, cause: 'a test' });
  }
  return heard.flatMap((event) => (event.kind === 'reprotected' ? [event.unprotectedMs] : []));
}

const takeover = { kind: 'takeover' } as AgentEvent;

test('how long a guest was without a backup is said once it has one again', (t) => {
  const again = ['joining synchronising', 'synchronising enrolling', 'enrolling protected'];
  t.deepEqual(gapsOf('claiming joining', ...again), [], 'it never had one');
  t.deepEqual(gapsOf(takeover, 'claiming joining', ...again), [400]);
  const lost = ['protected claiming', 'claiming joining', ...again];
  t.deepEqual(gapsOf(...again, ...lost), [400]);
  t.deepEqual(gapsOf(takeover, 'claiming joining', ...again, ...lost, ...lost), [400, 400, 400]);
});

test('a guest that is handed over is unprotected from where it runs, or stays, only', (t) => {
  const back = ['handing-over claiming', 'claiming joining', 'joining enrolling'];
  const handing = 'protected handing-over';
  t.deepEqual(gapsOf(handing, ...back, 'enrolling protected'), [300]);
  t.deepEqual(gapsOf(handing, 'handing-over stopped', 'enrolling protected'), []);
  t.deepEqual(
    gapsOf('protected claiming', 'claiming stopped', takeover, 'enrolling protected'),
    [100],
  );
});
