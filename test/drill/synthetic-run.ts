import type { RunEvents } from '../../drill/measure.ts';
import { epoch, sessionId, term } from '../../shared/ids.ts';
import type { TimedEvent } from '../../shared/observe/events.ts';

/** Events as of a drill with `epochCount` epochs of 100 ms and a takeover after the last. */
export function syntheticRun(epochCount: number): RunEvents {
  const session = sessionId('00000000000000aa');
  const primary: TimedEvent[] = [
    {
      ...{ kind: 'sync', phase: 'done', by: 'digests', session },
      ...{ pages: 131_072, bytes: 5e6, syncMs: 900, atMs: 900 },
    },
  ];
  for (let n = 1; n <= epochCount; n++) {
    const pausedAtMs = 1000 + n * 100;
    const dirtyPages = 1;
    primary.push({
      kind: 'epoch',
      epoch: epoch(n),
      pausedAtMs,
      pauseMs: 2.5,
      phasesMs: { stop: 0.4, scan: 0.5, copy: 0.5, device: 0.8, resume: 0.3 },
      dirtyPages,
      liveRounds: 0,
      livePages: 0,
      pausedPages: dirtyPages,
      changedPages: dirtyPages,
      changedBlocks: 3,
      sharedBlocks: 1,
      encodeMs: 1,
      wireBytes: 1000,
      pageBytes: dirtyPages * 4096,
      ramDigest: '00000000000000bb',
      atMs: pausedAtMs + 5,
    });
    primary.push({
      kind: 'spans',
      epoch: epoch(n),
      spans: [
        { stage: 'pause', fromMs: pausedAtMs, ms: 2.5 },
        { stage: 'stop', fromMs: pausedAtMs, ms: 0.4 },
        { stage: 'encode', fromMs: pausedAtMs + 2.5, ms: 1 },
      ],
      atMs: pausedAtMs + 6,
    });
    primary.push({ kind: 'ack', epoch: epoch(n), lagMs: 12, atMs: pausedAtMs + 12 });
  }
  const killedAtMs = 1000 + epochCount * 100 + 50;
  const takeover: TimedEvent = {
    kind: 'takeover',
    planned: false,
    epoch: epoch(epochCount),
    session,
    term: term(2),
    ramDigestExpected: '00000000000000bb',
    ramDigestFound: '00000000000000bb',
    lastHeardAtMs: killedAtMs - 20,
    phasesMs: { detect: 200, decide: 1, load: 14, verify: 61, resume: 0.5, total: 76.5 },
    pid: 1,
    atMs: killedAtMs + 260,
  };
  return {
    primary,
    backup: [takeover],
    servesFromMs: undefined,
    killedAtMs,
    servedAtMs: killedAtMs + 300,
  };
}
