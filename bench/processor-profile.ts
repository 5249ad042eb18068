import type { Lab } from '../drill/lab.ts';
import { benchSeconds, processorSeconds, threadSeconds } from './processor-time.ts';
import type { Contender } from './race.ts';
import type { Row } from './row.ts';

/** A process, or some of its threads, whose processor time is told apart. */
export interface ProcessorPart {
  readonly id: string;
  /** As a table names it. */
  readonly what: string;
  /** Processor time that it has used so far. */
  readonly seconds: () => number;
}

const agentParts = ['primary-main', 'primary-rest', 'backup-main', 'backup-rest'] as const;
/** Of `partsOfPair`. */
export const pairPartIds: readonly string[] = [...agentParts, 'server', 'guest', 'bench'];

/** All that works where a replicated disk is used. */
export function partsOfPair(lab: Lab): ProcessorPart[] {
  const whole = (id: string, what: string, pid: number): ProcessorPart => ({
    ...{ id, what, seconds: () => processorSeconds(pid) },
  });
  return [
    ...partsOfAgent('primary', lab.primary.pid),
    ...partsOfAgent('backup', lab.backup.pid),
    whole('server', 'nats-server', lab.serverPid),
    whole('guest', "the guest's QEMU", lab.guestPid()),
    { id: 'bench', what: 'qemu-img and the bench', seconds: benchSeconds },
  ];
}

function partsOfAgent(role: 'primary' | 'backup', pid: number): ProcessorPart[] {
  // The thread with the process's own number is the one that it began with.
  const main = () => threadSeconds(pid, pid);
  const rest = () => processorSeconds(pid) - main();
  return [
    { id: `${role}-main`, what: `${role}, main thread`, seconds: main },
    { id: `${role}-rest`, what: `${role}, its other threads`, seconds: rest },
  ];
}

/** What each part takes while a contender is measured. */
export class ProcessorProfile {
  readonly #parts: readonly ProcessorPart[];
  readonly #values: number[][];

  constructor(parts: readonly ProcessorPart[]) {
    this.#parts = parts;
    this.#values = parts.map(() => []);
  }

  /** The contender, each of whose measurements moves `mib`. */
  around(contender: Contender, mib: number): Contender {
    const measure = async (roundMs: number): Promise<number> => {
      const before = this.#seconds();
      const rate = await contender.measure(roundMs);
      const after = this.#seconds();
      for (const [i, values] of this.#values.entries()) {
        values.push(((after[i]! - before[i]!) * 1000) / mib);
      }
      return rate;
    };
    return { ...contender, measure };
  }

  /** One for each part, named `id.part`, without the first measurement: a race warms up with it. */
  rows(id: string, what: string): Row[] {
    return this.#parts.map((part, i) => {
      const values = this.#values[i]!.slice(1);
      return { ...{ id: `${id}.${part.id}`, what: `${what}: ${part.what}` }, unit: 'ms', values };
    });
  }

  /** What share of a core each part takes while `work` goes on. */
  async sharesDuring(work: () => Promise<void>, id: string, what: string): Promise<Row[]> {
    const [before, startedAtMs] = [this.#seconds(), performance.now()];
    await work();
    const [after, tookMs] = [this.#seconds(), performance.now() - startedAtMs];
    return this.#parts.map((part, i) => ({
      ...{ id: `${id}.${part.id}`, what: `${what}: ${part.what}`, unit: 'share' },
      values: [((after[i]! - before[i]!) * 1000) / tookMs],
    }));
  }

  #seconds(): number[] {
    return this.#parts.map(({ seconds }) => seconds());
  }
}
