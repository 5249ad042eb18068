import { type LabRunOptions, runLab } from './lab-run.ts';
import type { Row } from './row.ts';
import type { SuiteOptions } from './suite.ts';

const mib = 2 ** 20;
export const takeoverIds = ['takeover-disk.with', 'takeover-disk.without'];

/** Takeovers of the guest whose store syncs each write on a disk, and of the same without one, by turns. */
export async function compareTakeovers(
  { quick, progress }: SuiteOptions,
  guest: Pick<LabRunOptions, 'memoryBytes' | 'load'>,
): Promise<Row[]> {
  const kinds = [
    ['with', { dataDiskBytes: 256 * mib }],
    ['without', {}],
  ] as const;
  const values: Record<'with' | 'without', number[]> = { with: [], without: [] };
  const count = quick ? 1 : 7;
  for (let run = 1; run <= count; run++) {
    for (const [kind, disk] of kinds) {
      progress(`disk-pair: takeover ${run} of ${count}, ${kind} a disk`);
      const { result } = await runLab({ ...guest, ...disk, workMs: 2000, atTakeover: 'recorded' });
      if (result.failoverMs === null) throw new Error('nobody took over');
      const { decide, load, verify, resume } = result.failoverMs;
      values[kind].push(decide + load + verify + resume);
    }
  }
  return kinds.map(([kind]) => {
    const what = `Takeover after detection, ${kind} a replicated disk`;
    return { id: `takeover-disk.${kind}`, what, unit: 'ms', values: values[kind] } as const;
  });
}
