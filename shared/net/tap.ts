import { closeSync, writeSync } from 'node:fs';
import { isUnderstudyError, systemCode, UnderstudyError } from '../errors.ts';
import { networkBounds } from './network-bounds.ts';
import { PasstUplink } from './passt.ts';
import { attachToBridge, openTap, silenceHost, type TapDevice } from './tap-device.ts';
import { TapReader } from './tap-reader.ts';
import { NoUplink, type Uplink, type UplinkConfig, type UplinkListener } from './uplink.ts';

/**
 * Opens the uplink of one card. The TAP exists and is attached when it resolves, and ends with the
 * process: a host that dies leaves no port behind that looks alive.
 *
 * Errors: `E_UPLINK_UNAVAILABLE`, `E_UPLINK_RIGHT`, `E_UPLINK_IN_USE`, `E_UPLINK_NAME`,
 * `E_UPLINK_BRIDGE`, `E_UPLINK_PASST`.
 */
export async function openUplink(config: UplinkConfig, listener: UplinkListener): Promise<Uplink> {
  switch (config.kind) {
    case 'none':
      return new NoUplink();
    case 'tap':
      return await TapUplink.open(config, listener);
    case 'passt':
      return await PasstUplink.open(config, listener);
  }
}

type TapConfig = UplinkConfig & { readonly kind: 'tap' };
type Trouble = 'down' | 'bridge';

class TapUplink implements Uplink {
  readonly #device: TapDevice;
  readonly #config: TapConfig;
  readonly #listener: UplinkListener;
  readonly #counts = { sent: 0, sentDropped: 0, received: 0 };
  #reader: TapReader | undefined;
  #bridgeTimer: NodeJS.Timeout | undefined;
  /** What was warned of and is not mended. */
  readonly #troubles = new Set<Trouble>();
  #closing: Promise<void> | undefined;
  #gone = false;

  static async open(config: TapConfig, listener: UplinkListener): Promise<TapUplink> {
    const uplink = new TapUplink(openTap(config.name), config, listener);
    try {
      await uplink.#start();
    } catch (error) {
      await uplink.close();
      throw error;
    }
    return uplink;
  }

  private constructor(device: TapDevice, config: TapConfig, listener: UplinkListener) {
    this.#device = device;
    this.#config = config;
    this.#listener = listener;
  }

  get counts() {
    return { ...this.#counts };
  }

  /** Never waits: the kernel takes a frame or drops it. */
  send(frame: Uint8Array): boolean {
    if (this.#closing !== undefined || this.#gone) return this.#drop();
    try {
      writeSync(this.#device.fd, frame);
    } catch (error) {
      return this.#onSendError(error);
    }
    this.#counts.sent++;
    this.#troubles.delete('down');
    return true;
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #start(): Promise<void> {
    const { name, bridge } = this.#config;
    if (bridge !== null) {
      silenceHost(name);
      attachToBridge(name, bridge);
      this.#bridgeTimer = setInterval(() => this.#checkBridge(bridge), networkBounds.bridgeCheckMs);
    }
    this.#reader = await TapReader.start(this.#device.fd, {
      onFrame: (frame) => {
        this.#counts.received++;
        this.#listener.onFrame(frame);
      },
      onGone: (code) => this.#onGone(code),
    });
  }

  async #close(): Promise<void> {
    clearInterval(this.#bridgeTimer);
    await this.#reader?.stop();
    closeSync(this.#device.fd);
  }

  #drop(): false {
    this.#counts.sentDropped++;
    return false;
  }

  #onSendError(error: unknown): false {
    const code = systemCode(error);
    if (code === undefined) throw error;
    if (code === 'EIO') this.#warnOnce('down', interfaceDown(this.#config.name, error));
    // EBADFD, which Node does not know by name. The reading thread finds it too.
    if (code === 'EBADFD' || code.startsWith('Unknown')) this.#onGone(code);
    return this.#drop();
  }

  #onGone(code: string): void {
    if (this.#gone || this.#closing !== undefined) return;
    this.#gone = true;
    clearInterval(this.#bridgeTimer);
    this.#listener.onGone(interfaceGone(this.#config.name, code));
  }

  /** A bridge that was made anew gets its port again by itself. */
  #checkBridge(bridge: string): void {
    try {
      attachToBridge(this.#config.name, bridge);
      this.#troubles.delete('bridge');
    } catch (error) {
      if (!isUnderstudyError(error)) {
        // The interface itself is gone, and the reading thread says so.
        if (systemCode(error) === 'ENODEV') return;
        throw error;
      }
      this.#warnOnce('bridge', error);
    }
  }

  #warnOnce(trouble: Trouble, error: UnderstudyError): void {
    if (this.#troubles.has(trouble)) return;
    this.#troubles.add(trouble);
    this.#listener.onWarning(error);
  }
}

function interfaceDown(name: string, cause: unknown): UnderstudyError {
  return new UnderstudyError('E_UPLINK_DOWN', `interface ${name} was taken down`, {
    hint: `The guest can't be reached: ip link set ${name} up.`,
    fields: { interface: name },
    cause,
  });
}

function interfaceGone(name: string, code: string): UnderstudyError {
  return new UnderstudyError('E_UPLINK_GONE', `interface ${name} is gone: ${code}`, {
    hint: 'Somebody removed the TAP or its namespace. It is made anew as soon as that works.',
    fields: { interface: name, cause: code },
  });
}
