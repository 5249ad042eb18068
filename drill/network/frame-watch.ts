import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { stepError } from '../drill-error.ts';
import type { Turn } from '../holders.ts';
import { guestMac, type HostName, type LabNetwork, portOf } from './lab-network.ts';

/** A frame with the guest's address as its source, as the switch got it from a host. */
export interface SeenFrame {
  readonly host: HostName;
  /** Microseconds since 1970, of the kernel that got it. */
  readonly atUs: number;
}

export interface FrameVerdict {
  readonly seen: number;
  /** Frames of a copy after another copy had spoken in its place. */
  readonly fromTwoCopies: number;
}

const hosts: readonly HostName[] = ['a', 'b'];

/**
 * tcpdump on the ports of both hosts at the switch: what the outside world gets to see of the
 * guest, written down by a program that is none of ours.
 */
export class FrameWatch {
  readonly #watchers: readonly Watcher[];

  /** Resolves when both ports are watched. Throws `E_DRILL_STEP`. */
  static async start(network: LabNetwork, folder: string): Promise<FrameWatch> {
    const watchers = hosts.map((host) => {
      const file = join(folder, `frames-${host}.pcap`);
      const tcpdump = [
        ...['tcpdump', '-i', portOf(host, 'lan'), '-Q', 'in', '-n', '-U', '-s', '64'],
        ...['-Z', 'root', '-w', file, 'ether', 'src', guestMac],
      ];
      const command = ['--pdeathsig', 'TERM', '--', ...network.switch.enter, ...tcpdump];
      const child = spawn('setpriv', command, { stdio: ['ignore', 'ignore', 'pipe'] });
      return { host, file, child };
    });
    const watch = new FrameWatch(watchers);
    try {
      await Promise.all(watchers.map(({ child }) => listening(child)));
    } catch (error) {
      watch.kill();
      throw error;
    }
    return watch;
  }

  private constructor(watchers: readonly Watcher[]) {
    this.#watchers = watchers;
  }

  /** Ends the watch. All frames, as they came. */
  async finish(): Promise<SeenFrame[]> {
    const frames = await Promise.all(
      this.#watchers.map(async ({ host, file, child }) => {
        // What is on its way into the file; SIGTERM then writes the rest.
        await sleep(50);
        if (child.exitCode === null) {
          const ended = once(child, 'exit');
          child.kill('SIGTERM');
          await ended;
        }
        return readPcap(await readFile(file)).map((atUs) => ({ host, atUs }));
      }),
    );
    return frames.flat().sort((one, other) => one.atUs - other.atUs);
  }

  kill(): void {
    for (const { child } of this.#watchers) child.kill('SIGKILL');
  }
}

interface Watcher {
  readonly host: HostName;
  readonly file: string;
  readonly child: ChildProcess;
}

/** The capture has the time of day, agents the monotonic clock: this far they may be apart. */
const clocksApartMsMax = 50;

/**
 * `turns`: the hosts that were to run the guest, one after the other. The right to speak passes on
 * with the first frame of the next one's turn; whoever else speaks is a second copy.
 * `wallMinusMonotonicMs`: how to tell instants of turns by the clock of the capture.
 */
export function judgeFrames(
  frames: readonly SeenFrame[],
  turns: readonly Turn[],
  wallMinusMonotonicMs: number,
): FrameVerdict {
  let turn = 0;
  let fromTwoCopies = 0;
  for (const { host, atUs } of frames) {
    if (host === turns[turn]?.host) continue;
    const next = turns[turn + 1];
    const atMs = atUs / 1000 - wallMinusMonotonicMs;
    if (host === next?.host && atMs >= next.sinceMs - clocksApartMsMax) turn += 1;
    else fromTwoCopies += 1;
  }
  return { seen: frames.length, fromTwoCopies };
}

/**
 * Instants of the frames in a file of tcpdump, in µs. Layout: 24 bytes of head that begin with
 * 0xa1b2c3d4, then for each frame u32 seconds, u32 µs, u32 bytes kept, u32 bytes sent, the bytes.
 */
export function readPcap(file: Buffer): number[] {
  if (file.length < 24) return [];
  if (file.readUInt32LE(0) !== 0xa1b2c3d4) throw stepError('tcpdump wrote a file of another kind');
  const instants: number[] = [];
  for (let at = 24; at + 16 <= file.length; ) {
    const kept = file.readUInt32LE(at + 8);
    if (at + 16 + kept > file.length) break;
    instants.push(file.readUInt32LE(at) * 1e6 + file.readUInt32LE(at + 4));
    at += 16 + kept;
  }
  return instants;
}

/** tcpdump says "listening on …" when it does. */
async function listening(child: ChildProcess): Promise<void> {
  let said = '';
  await new Promise<void>((resolve, reject) => {
    const fail = () => reject(stepError(`tcpdump does not watch: ${said.trim() || 'not started'}`));
    child.stderr?.on('data', (piece) => {
      said += piece;
      if (said.includes('listening on')) resolve();
    });
    child.once('error', fail);
    child.once('exit', fail);
  });
}
