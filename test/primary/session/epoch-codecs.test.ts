import test from 'ava';
import { CodecPolicy } from '../../../primary/pipeline/codec-policy.ts';
import { emptyTally, readStats, statsSlots } from '../../../primary/pipeline/encode-stats.ts';
import { EpochCodecs } from '../../../primary/session/epoch-codecs.ts';
import { epoch } from '../../../shared/ids.ts';
import type { AgentEvent } from '../../../shared/observe/events.ts';

test('the codec is told at the start of a session, and when it changes, with the reason', (t) => {
  const policy = new CodecPolicy({ gzipLevelMax: 1, threads: 1 });
  const told: AgentEvent[] = [];
  const codecs = new EpochCodecs(policy, (event) => told.push(event));
  const stats = readStats(new Float64Array(statsSlots), emptyTally());
  let nowMs = 0;
  let last = codecs.begin(nowMs);
  t.deepEqual(told, [{ kind: 'codec', codec: 'lz4', why: 'nothing was measured yet' }]);
  for (let number = 1; number <= 20; number++) {
    codecs.sent(epoch(number), 1e6, stats, nowMs + 5);
    // 4 MB/s.
    nowMs += 260;
    codecs.acknowledged(epoch(number), nowMs);
    last = codecs.begin(nowMs);
  }
  t.is(last.codec, 'gzip');
  t.is(told.length, 2);
  t.like(told[1], { kind: 'codec', codec: 'gzip-1' });
  // What was learnt of codecs outlives the session; what the link carries is found out anew.
  const next = new EpochCodecs(policy, (event) => told.push(event));
  next.begin(0);
  t.is(told.length, 3);
});
