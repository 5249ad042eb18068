import { monotonicClock } from '../../shared/clock.ts';
import { isUnderstudyError } from '../../shared/errors.ts';
import {
  type GuestIdentity,
  readGuestIdentity,
  waitForIdentity,
} from '../checkers/guest-identity.ts';
import { checkSequence, readFoundWrites } from '../checkers/sequence-check.ts';
import { latencyOf, longestGaps } from '../checkers/sequence-history.ts';
import { SequenceWriter } from '../checkers/sequence-writer.ts';
import { connectStore, withDeadline } from '../checkers/store-connection.ts';
import type { ClientCommand, ClientReport, ClientStart, ClientView } from './client-process.ts';
import { Download } from './download.ts';

/** The client of a drill, in a process and a network namespace of its own: `client-process.ts`. */
const slotCount = 1000;
const writesPerSecond = 250;
const answerMs = 10_000;
const gapCount = 20;

const never = new AbortController().signal;
let writer: SequenceWriter | undefined;
let download: Download | undefined;
let before: GuestIdentity | undefined;

process.on('disconnect', () => process.exit());
process.on('message', async (command: ClientCommand) => {
  try {
    process.send!({ answer: await carryOut(command) });
  } catch (error) {
    process.send!({ error: isUnderstudyError(error) ? error.message : String(error) });
  }
});

async function carryOut(command: ClientCommand): Promise<ClientStart | ClientView | ClientReport> {
  switch (command.kind) {
    case 'begin':
      return await begin(command);
    case 'look':
      return view();
    case 'finish':
      return await finish(command);
  }
}

async function begin(command: ClientCommand & { kind: 'begin' }): Promise<ClientStart> {
  const { host, deadlineMs } = command;
  const store = { host, port: 6379 };
  const client = await connectStore(store, deadlineMs, never);
  before = await waitForIdentity(client, deadlineMs, never);
  client.destroy();
  const connection = await connectStore(store, deadlineMs, never);
  writer = new SequenceWriter({ client: connection, writesPerSecond, slotCount });
  download = new Download(`http://${host}/cgi-bin/numbers`);
  return { identity: before };
}

function view(): ClientView {
  const { history, brokenBy } = writer!;
  const last = history.lastAckedBefore(Number.POSITIVE_INFINITY);
  return {
    acked: last,
    lastAckedAtMs: last === 0 ? null : history.ackedAtMs[last - 1]!,
    storeBrokenBy: brokenBy ?? null,
    downloadBrokenBy: download!.state.brokenBy ?? null,
    downloadedBytes: download!.state.bytes,
  };
}

async function finish(command: ClientCommand & { kind: 'finish' }): Promise<ClientReport> {
  const { history } = writer!;
  const unanswered = await writer!.drain(answerMs);
  const downloaded = download!.state;
  const seen = view();
  await writer!.stop();
  download!.end();
  const client = await connectStore({ host: command.host, port: 6379 }, answerMs, never);
  const found = await readFoundWrites(client, slotCount, answerMs);
  const identity = await readGuestIdentity(client, answerMs);
  // Some of what the guest counts: it must not stand still.
  await new Promise((resolve) => setTimeout(resolve, 200));
  const last = await readGuestIdentity(client, answerMs);
  await withDeadline(client.ping(), answerMs);
  client.destroy();
  // Every answer counts: output commit covers all of them.
  const end = { pausedAtMs: monotonicClock.nowMs(), pauseMs: 0 };
  const counterSeen = history.guestCounter[seen.acked - 1] ?? before!.counter;
  return {
    ...seen,
    ...{ unanswered, sent: history.sent, found: found.count, counterSeen, identity, last },
    verdict: checkSequence(history, end, found),
    gaps: longestGaps(history, gapCount),
    latency: command.stretches.map((stretch) => latencyOf(history, stretch)),
    downloadGapMs: downloaded.longestGapMs,
  };
}
