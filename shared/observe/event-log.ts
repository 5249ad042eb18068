import type { AgentEvent } from './events.ts';
import type { Log } from './log.ts';

/** Writes to `log` what an operator wants to see of `event`: changes, not epochs. */
export function logEvent(log: Log, event: AgentEvent): void {
  switch (event.kind) {
    case 'state': {
      const { from, to, cause } = event;
      log.info(`${from} → ${to}: ${cause}`, { event: 'state', from, to, cause });
      return;
    }
    case 'guest':
      log.info(`guest ${event.change}`, { event: 'guest', change: event.change, pid: event.pid });
      return;
    case 'term': {
      const { term, mode } = event;
      log.info(`term ${term} is ours: ${mode}`, { event: 'term', term, mode });
      return;
    }
    case 'tracker':
      log.info(`tracker ${event.tracker}: ${event.why}`, { event: 'tracker' });
      return;
    case 'codec':
      log.info(`codec ${event.codec}: ${event.why}`, { event: 'codec', codec: event.codec });
      return;
    case 'standby':
      log.info(`standby ready in ${ms(event.readyMs)}`, { event: 'standby', pid: event.pid });
      return;
    case 'sync': {
      const { phase, session, by, pages, bytes, syncMs } = event;
      const text =
        phase === 'started'
          ? `synchronising: ${pages} pages`
          : `synchronised: ${pages} pages, ${bytesText(bytes)} in ${ms(syncMs)}`;
      log.info(text, { event: 'sync', phase, session, by });
      return;
    }
    case 'reprotected': {
      const { unprotectedMs } = event;
      const text = `protected again after ${ms(unprotectedMs)}`;
      log.info(text, { event: 'reprotected', unprotectedMs });
      return;
    }
    case 'disk-sync': {
      const { phase, disk, sizeBytes, comparedBytes, readBytes, sentBytes, syncMs } = event;
      const texts = {
        started:
          `bringing disk ${disk} level, ${bytesText(sizeBytes)}` +
          (comparedBytes > 0 ? `, of which ${bytesText(comparedBytes)} is known to be` : ''),
        progress: `disk ${disk}: ${bytesText(comparedBytes)} compared, ${bytesText(sentBytes)} sent`,
        done:
          `disk ${disk} is level: ${bytesText(sentBytes)} sent, ` +
          `${bytesText(readBytes)} compared, in ${ms(syncMs)}`,
      };
      log.info(texts[phase], { event: 'disk-sync', phase, disk });
      return;
    }
    case 'disk-verify': {
      const { disk, verifyMs, differingPages, firstDifferingPage } = event;
      const fields = { event: 'disk-verify', disk, differingPages, firstDifferingPage };
      const took = `compared with the backup's in ${ms(verifyMs)}`;
      if (differingPages === 0) log.info(`disk ${disk} ${took}: it is the same`, fields);
      else log.error(`disk ${disk} ${took}: ${differingPages} pages differed, sent again`, fields);
      return;
    }
    case 'verify':
      logVerify(log, event);
      return;
    case 'takeover': {
      const { epoch, session, pid, phasesMs } = event;
      const { total, ...parts } = phasesMs;
      const phases = Object.entries(parts).map(([name, value]) => `${name} ${ms(value)}`);
      const ramVerified = event.ramDigestFound === event.ramDigestExpected;
      const text = `guest resumed here at epoch ${epoch} in ${ms(total)} (${phases.join(', ')})`;
      const times = Object.fromEntries(
        Object.entries(phasesMs).map(([name, value]) => [`${name}Ms`, value]),
      );
      log.info(text, { event: 'takeover', epoch, session, pid, ramVerified, ...times });
      return;
    }
    case 'replay': {
      const { frames, replayed, replayMs } = event;
      const text = `${replayed} of ${frames} logged frames told again in ${ms(replayMs)}`;
      if (replayed === frames) log.info(text, { event: 'replay', frames, replayed });
      else log.warn(text, { event: 'replay', frames, replayed });
      return;
    }
    case 'warning':
      log.warn(event.message, { event: 'warning', code: event.code, hint: event.hint });
      return;
    case 'error':
      log.error(event.message, { event: 'error', code: event.code, hint: event.hint });
      return;
    case 'epoch':
    case 'ack':
    case 'commit':
    case 'spans':
      // Ten a second: these go to the progress line and to the events file.
      return;
  }
}

function logVerify(log: Log, event: Extract<AgentEvent, { kind: 'verify' }>): void {
  const { epoch, side, verifyMs, ok, firstDifferingPage } = event;
  const fields = { event: 'verify', epoch, side, ok, firstDifferingPage };
  if (ok) log.debug(`RAM digested on the ${side} at epoch ${epoch} in ${ms(verifyMs)}`, fields);
  else log.error(`RAM differs at epoch ${epoch}, first in page ${firstDifferingPage}`, fields);
}

/** `0.42 ms`, `3.1 ms`, `250 ms`, `12.5 s`. */
export function ms(value: number): string {
  if (value >= 10_000) return `${(value / 1000).toFixed(1)} s`;
  const digits = value < 1 ? 2 : value < 100 ? 1 : 0;
  return `${value.toFixed(digits)} ms`;
}

/** `812 B`, `3.1 KiB`, `1.5 GiB`. */
export function bytesText(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  const power = bytes < 1 ? 0 : Math.min(4, Math.floor(Math.log2(bytes) / 10));
  return `${(bytes / 1024 ** power).toFixed(power === 0 ? 0 : 1)} ${units[power]}`;
}
