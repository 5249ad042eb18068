import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { bounds } from '../bounds.ts';
import { UnderstudyError } from '../errors.ts';
import { serverPriority } from './server-priority.ts';
import { lockStore, type StoreLock } from './store-lock.ts';

export interface EmbeddedServerOptions {
  /** Where the server keeps its files. Without one: a temporary folder, removed by `stop`. */
  readonly folder?: string;
  /** A fixed port; without one the server picks a free one. */
  readonly port?: number;
  readonly host?: string;
  /** Streams and key-value buckets, for the arbiter. Default: true. */
  readonly jetStream?: boolean;
  /** Called when the server ends without having been asked to. Never inside a call of ours. */
  readonly onExit?: (error: UnderstudyError) => void;
  readonly payloadBytesMax?: number;
  readonly writeDeadlineMs?: number;
  readonly pendingBytesMax?: number;
  /** Lines added to the server's configuration. */
  readonly extraConfig?: readonly string[];
  /** Where programs are looked for. Default: PATH, and the folders where Debian puts servers. */
  readonly programFolders?: readonly string[];
}

/**
 * Debian's nats-server as our child, on loopback. It gets SIGTERM from the kernel when the
 * thread that started it ends, however that happens: start it from the main thread.
 */
export class EmbeddedServer {
  /** `nats://host:port`. */
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  /** Where it keeps its files. */
  readonly folder: string;
  readonly #running: Running;

  private constructor(running: Running, host: string, port: number) {
    this.#running = running;
    this.url = `nats://${host}:${port}`;
    this.port = port;
    this.pid = running.pid;
    this.folder = running.folder;
  }

  /**
   * Resolves when the server answers. Throws `E_NATS_SERVER_MISSING`, `E_NATS_PORT_IN_USE`,
   * `E_NATS_STORE_IN_USE`, `E_NATS_SERVER_EXIT` (with its log's last lines).
   */
  static async start(options: EmbeddedServerOptions = {}): Promise<EmbeddedServer> {
    const program = findProgram('nats-server', options);
    if (program === undefined) throw missing('nats-server', 'nats-server');
    if (findProgram('setpriv', options) === undefined) throw missing('setpriv', 'util-linux');
    const host = options.host ?? '127.0.0.1';
    const running = new Running(program, host, options);
    try {
      const port = await running.ready();
      return new EmbeddedServer(running, host, port);
    } catch (error) {
      await running.stop();
      throw error;
    }
  }

  /** Ends the server, by force if it must, and removes a temporary folder. */
  async stop(): Promise<void> {
    await this.#running.stop();
  }
}

class Running {
  readonly pid: number;
  readonly folder: string;
  readonly #child: ChildProcess;
  readonly #host: string;
  readonly #temporary: boolean;
  readonly #lock: StoreLock;
  readonly #exited: Promise<void>;
  readonly #log: string[] = [];
  #exit: string | undefined;
  #stopping = false;
  #answered = false;

  constructor(program: string, host: string, options: EmbeddedServerOptions) {
    this.#host = host;
    this.#temporary = options.folder === undefined;
    this.folder = options.folder ?? mkdtempSync(join(tmpdir(), 'understudy-nats-'));
    mkdirSync(this.folder, { recursive: true });
    this.#lock = lockStore(this.folder);
    const config = join(this.folder, 'nats-server.conf');
    writeFileSync(config, configOf(this.folder, host, options));
    const command = [...serverPriority(), program, '-c', config];
    this.#child = spawn('setpriv', ['--pdeathsig', 'TERM', '--', ...command], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, GOGC: '400', GOMEMLIMIT: '512MiB' },
    });
    this.pid = this.#child.pid ?? 0;
    this.#child.stdout?.on('data', (text: Buffer) => this.#keepLog(text));
    this.#child.stderr?.on('data', (text: Buffer) => this.#keepLog(text));
    this.#exited = new Promise((resolve) => {
      const ended = (how: string) => {
        if (this.#exit !== undefined) return;
        this.#exit = how;
        if (this.#answered && !this.#stopping) options.onExit?.(exited(how, this.#log));
        resolve();
      };
      this.#child.on('close', (code, signal) => ended(signal ?? `status ${code}`));
      this.#child.on('error', (error) => ended(error.message));
    });
  }

  /** The port, once the server greets whoever connects to it. */
  async ready(): Promise<number> {
    const deadlineMs = performance.now() + bounds.serverReadyMs;
    for (;;) {
      const port = this.#portFromFile();
      if (port !== undefined && (await greets(this.#host, port))) {
        this.#answered = true;
        return port;
      }
      if (this.#exit !== undefined) throw this.#early(this.#exit);
      if (performance.now() > deadlineMs) throw this.#early('no answer in time');
      await Promise.race([sleep(10), this.#exited]);
    }
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    if (this.#exit === undefined) {
      this.#child.kill('SIGTERM');
      const force = setTimeout(() => this.#child.kill('SIGKILL'), bounds.serverStopMs);
      await this.#exited;
      clearTimeout(force);
    }
    this.#lock.release();
    rmSync(join(this.folder, portsFileOf(this.pid)), { force: true });
    if (this.#temporary) rmSync(this.folder, { recursive: true, force: true });
  }

  /** The server names the file after its pid: one left over from a killed server is not ours. */
  #portFromFile(): number | undefined {
    const file = join(this.folder, portsFileOf(this.pid));
    if (!existsSync(file)) return undefined;
    const match = /"(?:nats|tls):\/\/[^"]*:(\d+)"/.exec(readFileSync(file, 'utf8'));
    return match === null ? undefined : Number(match[1]);
  }

  #keepLog(text: Buffer): void {
    this.#log.push(...text.toString().split('\n').filter(Boolean));
    this.#log.splice(0, Math.max(0, this.#log.length - bounds.serverLogLinesMax));
  }

  #early(how: string): UnderstudyError {
    const bind = this.#log.find((line) => line.includes('address already in use'));
    return bind === undefined ? exited(how, this.#log) : portInUse(bind);
  }
}

const portsFileOf = (pid: number): string => `nats-server_${pid}.ports`;

/** Lines of a server's configuration: what page data and its window ask of it. */
export function serverLimits(
  options: Pick<EmbeddedServerOptions, 'payloadBytesMax' | 'pendingBytesMax' | 'writeDeadlineMs'>,
): string[] {
  return [
    `max_payload: ${options.payloadBytesMax ?? bounds.serverPayloadBytesMax}`,
    `max_pending: ${options.pendingBytesMax ?? bounds.serverPendingBytesMax}`,
    `write_deadline: "${options.writeDeadlineMs ?? bounds.serverWriteDeadlineMs}ms"`,
  ];
}

function configOf(folder: string, host: string, options: EmbeddedServerOptions): string {
  const lines = [
    `host: ${JSON.stringify(host)}`,
    `port: ${options.port ?? -1}`,
    `ports_file_dir: ${JSON.stringify(folder)}`,
    ...serverLimits(options),
    'logtime: false',
  ];
  if (options.jetStream !== false) {
    lines.push(`jetstream { store_dir: ${JSON.stringify(join(folder, 'store'))} }`);
  }
  return `${[...lines, ...(options.extraConfig ?? [])].join('\n')}\n`;
}

function greets(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: 1000 });
    const settle = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('data', (data) => settle(data.toString('latin1').startsWith('INFO ')));
    socket.once('error', () => settle(false));
    socket.once('timeout', () => settle(false));
    socket.once('close', () => resolve(false));
  });
}

function findProgram(name: string, options: EmbeddedServerOptions): string | undefined {
  // A user's PATH often leaves out /usr/sbin.
  const usual = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  const folders = options.programFolders ?? usual;
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path));
}

function missing(name: string, debianPackage: string): UnderstudyError {
  return new UnderstudyError('E_NATS_SERVER_MISSING', `${name} is not installed`, {
    hint: `apt-get install ${debianPackage}`,
    fields: { program: name },
  });
}

function portInUse(line: string): UnderstudyError {
  const message = `nats-server can't listen: ${line}`;
  return new UnderstudyError('E_NATS_PORT_IN_USE', message, {
    hint: 'End what uses the port, or choose another (without one, a free port is taken).',
  });
}

function exited(how: string, log: readonly string[]): UnderstudyError {
  const grave = log.filter((line) => /\[(FTL|ERR)\]/.test(line));
  const message = `nats-server ended (${how}): ${(grave.length > 0 ? grave : log).join(' | ')}`;
  return new UnderstudyError('E_NATS_SERVER_EXIT', message, {
    hint: 'Check its log lines, the folder, its free space and the settings.',
    fields: { how, log: log.join('\n') },
  });
}
