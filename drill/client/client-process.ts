import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { GuestIdentity } from '../checkers/guest-identity.ts';
import type { SequenceVerdict } from '../checkers/sequence-check.ts';
import type { Gap } from '../checkers/sequence-history.ts';
import type { Latency, Stretch } from '../checkers/witness.ts';
import { stepError } from '../drill-error.ts';
import type { Namespace } from '../network/namespace.ts';

const modulePath = fileURLToPath(new URL('./client-worker.js', import.meta.url));

export type ClientCommand =
  /** Connect, and use the guest from now on. */
  | { readonly kind: 'begin'; readonly host: string; readonly deadlineMs: number }
  | { readonly kind: 'look' }
  /** Stop, and look at what the guest holds. */
  | {
      readonly kind: 'finish';
      readonly host: string;
      /** Parts of the past by which latencies are told apart. */
      readonly stretches: readonly Stretch[];
    };

export interface ClientStart {
  readonly identity: GuestIdentity;
}

export interface ClientView {
  /** Number of the last write that was acknowledged. */
  readonly acked: number;
  readonly lastAckedAtMs: number | null;
  readonly storeBrokenBy: string | null;
  readonly downloadBrokenBy: string | null;
  readonly downloadedBytes: number;
}

export interface ClientReport extends ClientView {
  readonly sent: number;
  /** Writes of which no answer came, after all was quiet. */
  readonly unanswered: number;
  /** Writes that the store holds. */
  readonly found: number;
  readonly verdict: SequenceVerdict;
  /** The longest times without an answer, the longest first. */
  readonly gaps: readonly Gap[];
  readonly latency: readonly Latency[];
  readonly downloadGapMs: number;
  /** The guest's counter as the last answer had it, and the guest at the end, twice. */
  readonly counterSeen: number;
  readonly identity: GuestIdentity;
  readonly last: GuestIdentity;
}

type Answer = { readonly answer: unknown } | { readonly error: string };

/** Somebody who uses the guest from a host of his own: one Redis connection and one download. */
export class ClientProcess {
  readonly #child: ChildProcess;
  #ended: string | undefined;
  #settle: ((answer: Answer) => void) | undefined;

  constructor(namespace: Namespace, mark: string) {
    const command = [...namespace.enter, process.execPath, modulePath, mark];
    this.#child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', ...command], {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    const end = (why: string) => {
      this.#ended ??= why;
      this.#settle?.({ error: why });
    };
    this.#child.on('error', (error) => end(`the client could not be started: ${error.message}`));
    this.#child.on('exit', () => end('the client ended'));
    this.#child.on('message', (answer: Answer) => this.#settle?.(answer));
  }

  async begin(host: string, deadlineMs: number): Promise<ClientStart> {
    return (await this.#ask({ kind: 'begin', host, deadlineMs })) as ClientStart;
  }

  async look(): Promise<ClientView> {
    return (await this.#ask({ kind: 'look' })) as ClientView;
  }

  async finish(host: string, stretches: readonly Stretch[]): Promise<ClientReport> {
    return (await this.#ask({ kind: 'finish', host, stretches })) as ClientReport;
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }

  /** One question at a time. Throws `E_DRILL_STEP`. */
  async #ask(command: ClientCommand): Promise<unknown> {
    const answer = await new Promise<Answer>((resolve) => {
      if (this.#ended !== undefined) return resolve({ error: this.#ended });
      this.#settle = resolve;
      this.#child.send(command, (error) => {
        if (error !== null) resolve({ error: error.message });
      });
    });
    this.#settle = undefined;
    if ('error' in answer) throw stepError(`the drill's client: ${answer.error}`);
    return answer.answer;
  }
}
