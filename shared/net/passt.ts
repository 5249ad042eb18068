import { type ChildProcess, spawn } from 'node:child_process';
import type { Duplex } from 'node:stream';
import { isUnderstudyError, systemCode, UnderstudyError } from '../errors.ts';
import { FrameSplitter, joinFrame } from './ethernet-stream.ts';
import { networkBounds } from './network-bounds.ts';
import type { Uplink, UplinkConfig, UplinkListener } from './uplink.ts';

export type PasstConfig = UplinkConfig & { readonly kind: 'passt' };

/**
 * An uplink without root: passt translates the guest's frames to sockets of this host. It speaks
 * QEMU's stream on a socket that it inherits, and ends when that is closed, so that nothing of it
 * outlives the agent. Run by root it becomes `nobody` by itself.
 *
 * passt itself holds the guest's connections, as sockets of this host: they break at a takeover.
 * What is forwarded to the guest is reached by the address of the host that runs it.
 */
export class PasstUplink implements Uplink {
  readonly #process: ChildProcess;
  readonly #socket: Duplex;
  readonly #listener: UplinkListener;
  readonly #counts = { sent: 0, sentDropped: 0, received: 0 };
  readonly #ended: Promise<void>;
  #closing = false;
  #gone = false;
  #said = '';

  /** Throws `E_UPLINK_PASST` where it is not installed or refuses. */
  static async open(config: PasstConfig, listener: UplinkListener): Promise<PasstUplink> {
    const uplink = new PasstUplink(config, listener);
    try {
      await uplink.#started();
    } catch (error) {
      await uplink.close();
      throw error;
    }
    return uplink;
  }

  private constructor(config: PasstConfig, listener: UplinkListener) {
    this.#listener = listener;
    const stdio = ['ignore', 'ignore', 'pipe', 'pipe'] as const;
    this.#process = spawn('passt', passtArguments(config), { stdio: [...stdio] });
    this.#socket = this.#process.stdio[3] as Duplex;
    this.#process.stderr!.on('data', (piece: Buffer) => {
      this.#said = `${this.#said}${piece}`.slice(-saidLengthMax);
    });
    const splitter = new FrameSplitter((frame) => this.#onFrame(frame));
    this.#socket.on('data', (piece: Buffer) => {
      if (this.#closing || this.#socket.destroyed) return;
      try {
        splitter.push(piece);
      } catch (error) {
        if (!isUnderstudyError(error)) throw error;
        // passt ends with its socket, and is started anew.
        this.#said = error.message;
        this.#socket.destroy();
      }
    });
    // Its end says why; a frame on the way is lost as on any network.
    this.#socket.on('error', () => {});
    this.#ended = new Promise((resolve) => {
      this.#process.once('error', () => resolve());
      this.#process.once('close', () => resolve());
    });
  }

  get counts() {
    return { ...this.#counts };
  }

  send(frame: Uint8Array): boolean {
    const waiting = this.#socket.writableLength;
    const isFull = waiting + frame.length > networkBounds.uplinkBacklogBytesMax;
    if (this.#closing || this.#gone || isFull) {
      this.#counts.sentDropped++;
      return false;
    }
    this.#socket.write(joinFrame(frame));
    this.#counts.sent++;
    return true;
  }

  async close(): Promise<void> {
    this.#closing = true;
    this.#socket.destroy();
    const kill = setTimeout(() => this.#process.kill('SIGKILL'), networkBounds.passtStopMs);
    await this.#ended;
    clearTimeout(kill);
  }

  /** It says where it forwards to once it is set up, and ends where it can't. */
  async #started(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const outcome = await Promise.race([
      new Promise<Error>((resolve) => this.#process.once('error', resolve)),
      this.#ended.then(() => 'ended' as const),
      new Promise<'ready'>((resolve) => {
        this.#process.stderr!.on('data', () => {
          if (this.#said.includes(readyMark)) resolve('ready');
        });
      }),
      new Promise<'late'>((resolve) => {
        timer = setTimeout(() => resolve('late'), networkBounds.uplinkStartMs);
      }),
    ]);
    clearTimeout(timer);
    if (outcome !== 'ready') throw refused(this.#said, outcome);
    this.#ended.then(() => this.#onEnded());
  }

  #onFrame(frame: Uint8Array): void {
    if (this.#closing) return;
    this.#counts.received++;
    this.#listener.onFrame(frame);
  }

  #onEnded(): void {
    if (this.#closing || this.#gone) return;
    this.#gone = true;
    this.#socket.destroy();
    const message = `passt ended: ${lastLine(this.#said)}`;
    this.#listener.onGone(
      new UnderstudyError('E_UPLINK_GONE', message, {
        hint: 'It is started anew as soon as that works; the connections that it held are broken.',
      }),
    );
  }
}

/** The same on each host: the guest's neighbour table stays right after a takeover. */
const hostMac = '9a:55:9a:55:9a:55';
const saidLengthMax = 8000;
/** The last paragraph that it prints when all is set up. */
const readyMark = 'MAC:';

function passtArguments({ address, gateway, forward }: PasstConfig): string[] {
  const [guest = '', prefix = ''] = address.split('/');
  const ports = forward.flatMap(({ hostPort, guestPort }) => ['-t', `${hostPort}:${guestPort}`]);
  return [
    ...['--foreground', '--ipv4-only', '--fd', '3'],
    ...['--address', guest, '--netmask', prefix, '--gateway', gateway, '--mac-addr', hostMac],
    ...ports,
  ];
}

function refused(said: string, outcome: Error | 'ended' | 'late'): UnderstudyError {
  if (outcome instanceof Error && systemCode(outcome) === 'ENOENT') {
    return new UnderstudyError('E_UPLINK_PASST', 'passt is not installed', {
      hint: 'apt-get install passt, or use an uplink of kind tap.',
      cause: outcome,
    });
  }
  const why = outcome === 'late' ? 'it does not get ready' : lastLine(said);
  return new UnderstudyError('E_UPLINK_PASST', `passt can't be used: ${why}`, {
    hint: 'It needs a default route on this host, and its forwarded ports must be free.',
    fields: { reason: why },
  });
}

/** It complains about the system's log where there is none: that is not why it ends. */
function lastLine(said: string): string {
  const lines = said.split('\n').filter((line) => line !== '' && !/^Failed to send/.test(line));
  return lines.at(-1) ?? 'it does not say why';
}
