import { formatBytes, formatCount, formatMs, formatShare } from './amounts.ts';
import type { ClientFindings } from './checkers/witness.ts';
import type { FailoverMs } from './measure.ts';
import type { Progress } from './progress.ts';
import type { DrillResult } from './result.ts';

/** What a person reads at the end of a drill. */
export function summarise(result: DrillResult, progress: Progress): void {
  const { failoverMs, epochs, startUp, pauseMs, wire, error, checks, report, runFolder } = result;
  if (epochs.captured > 0) {
    progress.heading('Checkpoints');
    const { captured, acked } = epochs;
    progress.line(
      `epochs    ${formatCount(captured)} taken, ${formatCount(acked)} acknowledged, ` +
        `${formatCount(startUp.epochs)} before the guest served: those are not in what follows`,
    );
    progress.line(
      `pause     median ${formatMs(pauseMs.p50)}, 99 % ${formatMs(pauseMs.p99)}, ` +
        `longest ${formatMs(pauseMs.max)}`,
    );
    progress.line(
      `wire      ${formatBytes(wire.bytes)}, ${formatShare(wire.ratio)} of the ` +
        `${formatBytes(wire.pageBytes)} that whole pages would be`,
    );
  }
  if (failoverMs !== null) summariseFailover(failoverMs, progress);
  if (result.unprotectedMs.length > 0) {
    progress.heading('Unprotected');
    progress.line(`each time for ${result.unprotectedMs.map(formatMs).join(', ')}`);
  }
  if (result.client !== null) summariseClient(result.client, progress);
  progress.heading('Checks');
  for (const { name, ok, detail } of checks) progress.line(`${ok ? '✓' : '✗'} ${name}: ${detail}`);
  if (error !== null) {
    progress.line(`✗ ${error.code}: ${error.message}`);
    progress.line(error.hint);
    for (const { log, lines } of error.logs) {
      progress.heading(log);
      for (const line of lines) progress.line(line);
    }
  }
  progress.heading(result.ok ? 'Every check held' : 'The drill failed');
  progress.line(`seed      ${result.seed}`);
  if (report !== null) progress.line(`report    ${report.html}`);
  if (runFolder !== null) progress.line(`logs      ${runFolder}`);
}

function summariseClient(client: ClientFindings, progress: Progress): void {
  progress.heading('The client');
  const { acknowledged, connectionsBroken, framesSeen, framesFromTwoCopies } = client;
  progress.line(
    `writes    ${formatCount(acknowledged)} acknowledged, ${connectionsBroken} of 2 connections broken`,
  );
  progress.line(
    `gap       ${formatMs(client.faultGapMs)} at the last fault, longest ` +
      `${formatMs(client.longestGapMs)}; of the download ${formatMs(client.downloadGapMs)}`,
  );
  for (const { stretch, answers, p50Ms, p99Ms, maxMs } of client.latency) {
    progress.line(
      `answers   ${stretch}: ${formatCount(answers)}, median ${formatMs(p50Ms)}, ` +
        `99 % ${formatMs(p99Ms)}, longest ${formatMs(maxMs)}`,
    );
  }
  progress.line(
    `frames    ${formatCount(framesSeen)} seen at the switch, ` +
      `${framesFromTwoCopies} from two copies`,
  );
}

function summariseFailover(failoverMs: FailoverMs, progress: Progress): void {
  const { detect, decide, load, verify, resume, total, service } = failoverMs;
  progress.heading('Takeover');
  const phases = { detect, decide, load, verify, resume, total };
  const bar = (ms: number) => '▇'.repeat(Math.max(0, Math.round((40 * ms) / Math.max(total, 1))));
  for (const [name, ms] of Object.entries(phases)) {
    const drawn = name === 'total' ? '' : bar(ms);
    progress.line(`${name.padEnd(8)} ${formatMs(ms).padStart(10)}  ${drawn}`.trimEnd());
  }
  if (service !== null) progress.line(`first answer to a client after ${formatMs(service)}`);
}
