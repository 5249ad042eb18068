import { reasonOf } from '../attempt.ts';
import { type LabRun, runLab } from '../lab-run.ts';
import type { Row } from '../row.ts';
import type { Suite, SuiteOptions } from '../suite.ts';

const mib = 2 ** 20;

/** How long a warm standby takes to run the guest, in phases. */
export const takeoverSuite: Suite = {
  name: 'takeover',
  title: 'Takeover',
  about: `The lab guest of 512 MiB with a key-value load is protected at 100 ms epochs with default
settings, its host is killed with SIGKILL at a moment that is drawn, and the standby's QEMU, started
ahead, is fed and continued. "After detection" is from the moment at which the backup holds the
primary for dead to the guest running: decide, load, verify, resume. With \`recorded\` the digest of
RAM is the one kept while epochs were applied, with \`full\` (the default) all RAM is read again.`,
  rowIds: ['takeover.after-detection'],
  run: async ({ quick, progress }: SuiteOptions): Promise<Row[]> => {
    const full = new TakeoverRuns('full');
    const recorded = new TakeoverRuns('recorded');
    const count = quick ? 1 : 7;
    for (let i = 1; i <= count; i++) {
      for (const runs of [full, recorded]) {
        progress(`takeover: run ${i} of ${count}, ${runs.atTakeover}`);
        await runs.add();
      }
    }
    return [
      full.afterDetection('takeover.after-detection'),
      recorded.afterDetection('takeover.after-detection-recorded'),
      ...(full.runs.length === 0 ? [] : phases.map((phase) => phaseRow(phase, full.runs))),
    ];
  },
};

const phases = ['detect', 'decide', 'load', 'verify', 'resume', 'total'] as const;

/** Runs of one kind. One that fails is told in the row; it does not take the others with it. */
class TakeoverRuns {
  readonly atTakeover: 'full' | 'recorded';
  readonly runs: LabRun[] = [];
  readonly #failures: string[] = [];

  constructor(atTakeover: 'full' | 'recorded') {
    this.atTakeover = atTakeover;
  }

  async add(): Promise<void> {
    const load = 'lab.load=kv lab.rate=1000';
    const { atTakeover } = this;
    try {
      const run = await runLab({ memoryBytes: 512 * mib, load, workMs: 2000, atTakeover });
      if (run.result.failoverMs === null) throw new Error('nobody took over');
      this.runs.push(run);
    } catch (error) {
      this.#failures.push(reasonOf(error));
    }
  }

  afterDetection(id: string): Row {
    const what = `After detection, RAM verified: ${this.atTakeover}`;
    if (this.runs.length === 0) return { id, what, notRun: this.#failures[0] ?? 'no run' };
    const values = this.runs.map((run) => {
      const { decide, load, verify, resume } = failover(run);
      return decide + load + verify + resume;
    });
    const failed = this.#failures.length;
    const note = failed === 0 ? {} : { note: `${failed} runs failed: ${this.#failures[0]}` };
    return { id, what, unit: 'ms', values, ...note };
  }
}

function phaseRow(phase: (typeof phases)[number], runs: readonly LabRun[]): Row {
  const values = runs.map((run) => failover(run)[phase]);
  const what = phase === 'total' ? 'SIGKILL to the guest running' : `Phase: ${phase}`;
  return { id: `takeover.${phase}`, what, unit: 'ms', values };
}

function failover({ result }: LabRun) {
  if (result.failoverMs === null) throw new Error('a run without a takeover');
  return result.failoverMs;
}
