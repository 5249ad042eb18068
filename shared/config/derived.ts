import { bounds, chunkBytesFor } from '../bounds.ts';
import type { GeneralCodec } from '../codec/codec-settings.ts';
import type { BackupConfig, LabConfig, PrimaryConfig } from './schema.ts';

/** Sizes that a file may leave to Understudy (null), worked out. All in bytes. */

const mib = 2 ** 20;

/** `epoch.captureBuffer`: a sixteenth of the guest, 8 to 128 MiB. */
export function captureBytesOf({ epoch, guest }: PrimaryConfig | LabConfig): number {
  return epoch.captureBuffer ?? Math.min(128 * mib, Math.max(8 * mib, guest.memory / 16));
}

/**
 * `epoch.shortestMs`: a quarter of the interval. `epoch.longestMs`: five intervals where all that
 * the guest says is held until its checkpoint, so that a longer epoch loses nothing that anybody
 * was told. Else, and in the modes that are for comparison, both are the interval.
 */
export function paceOf({ mode, epoch, guest, output }: PrimaryConfig | LabConfig) {
  const { intervalMs, shortestMs, longestMs } = epoch;
  const { networks } = guest;
  const isHeld =
    output.rule === 'commit' && networks.length > 0 && networks.every((it) => it.kind === 'cable');
  const adapts = isHeld && mode === 'fgbi';
  const soonestMs = Math.min(intervalMs, Math.max(10, Math.round(intervalMs / 4)));
  return {
    intervalMs,
    shortestMs: shortestMs ?? (adapts ? soonestMs : intervalMs),
    longestMs: longestMs ?? (adapts ? Math.min(60_000, 5 * intervalMs) : intervalMs),
  };
}

/** `pipeline.workers`: one of `cores` is left to the guest's side of the agent. */
export function workersOf({ pipeline }: PrimaryConfig | LabConfig, cores: number): number {
  return pipeline.workers ?? Math.min(4, Math.max(1, cores - 1));
}

/** The general codec that sends least of those that `compress.general` allows. */
export function strongestCodecOf({ compress }: PrimaryConfig | LabConfig): GeneralCodec {
  const { general, gzipLevelMax } = compress;
  if (general !== 'auto') return general;
  return gzipLevelMax > 0 ? 'gzip' : 'lz4';
}

/** `staging.bytesMax`: half of the guest, at least 64 MiB. */
export function stagingBytesOf({ staging, guest }: BackupConfig | LabConfig): number {
  return staging.bytesMax ?? Math.max(64 * mib, guest.memory / 2);
}

/** `flow.chunk`: as much as a server takes that allows payloads of `payloadBytesMax`. */
export function chunkBytesOf({ flow }: PrimaryConfig | LabConfig, payloadBytesMax: number): number {
  const room = payloadBytesMax - bounds.frameHeaderBytes - bounds.bodySlackBytes;
  const largest = Math.min(chunkBytesFor(payloadBytesMax), fitting(flow.window));
  return Math.min(flow.chunk ?? largest, room);
}

/** The largest chunk of which a quarter of the window holds a whole message. */
function fitting(windowBytes: number): number {
  const message = windowBytes / bounds.creditShare;
  return Math.floor((message - bounds.frameHeaderBytes - bounds.bodySlackBytes) / 4096) * 4096;
}
