import { mean } from '../row.ts';
import { type CellResult, isUsual, memoryBound } from './cell.ts';
import type { WorkloadName } from './workloads.ts';

/** What is bound by the processor, and by nothing that clients or memory's speed decide. */
const computeBound: readonly WorkloadName[] = ['ep', 'compile', 'gzip', 'bzip2'];

/** What the paper claims of FGBI, as a number to reach here, and what came out. */
export interface PaperVerdict {
  readonly target: string;
  readonly measured: string;
  readonly verdict: 'reached' | 'not reached' | 'not measured';
}

export function judgePaper(cells: readonly CellResult[]): readonly PaperVerdict[] {
  const usual = cells.filter(isUsual);
  const of = (mode: CellResult['mode']) =>
    usual.find((cell) => cell.mode === mode && cell.workload === memoryBound);
  const [remus, llm, fgbi] = [of('remus'), of('llm'), of('fgbi')];
  const overheads = (isAsked: (workload: WorkloadName) => boolean) =>
    usual
      .filter(({ mode, workload }) => mode === 'fgbi' && isAsked(workload))
      .flatMap(({ overhead }) => overhead ?? []);
  const ofCompute = overheads((workload) => computeBound.includes(workload));
  const ofAll = overheads((workload) => workload !== 'idle');
  const compute = `Overhead of fgbi, compute-bound (${computeBound.join(', ')})`;
  const all = 'Overhead of fgbi, all workloads but idle';
  return [
    shorter('type I', 'remus', 0.45, fgbi?.typeIMs, remus?.typeIMs),
    shorter('type I', 'llm', 0.77, fgbi?.typeIMs, llm?.typeIMs),
    shorter('time to regain what clients knew', 'llm', 0.77, fgbi?.regainedMs, llm?.regainedMs),
    shorter('type II (mean)', 'remus', 0.7, fgbi?.typeIIMs.mean, remus?.typeIIMs.mean),
    shorter('type II (median)', 'remus', 0.7, fgbi?.typeIIMs.p50, remus?.typeIIMs.p50),
    shorter('type II (mean)', 'llm', 0.9, fgbi?.typeIIMs.mean, llm?.typeIIMs.mean),
    shorter('type II (median)', 'llm', 0.9, fgbi?.typeIIMs.p50, llm?.typeIIMs.p50),
    atMost(`${compute}, average`, 0.08, mean(ofCompute), ofCompute),
    atMost(`${compute}, worst`, 0.13, Math.max(...ofCompute), ofCompute),
    atMost(`${all}, average`, 0.08, mean(ofAll), ofAll),
    atMost(`${all}, worst`, 0.13, Math.max(...ofAll), ofAll),
  ];
}

function shorter(
  what: string,
  than: string,
  share: number,
  ours: number | null | undefined,
  theirs: number | null | undefined,
): PaperVerdict {
  const target = `fgbi’s ${what} at least ${percent(share)} shorter than ${than}’s, ${memoryBound}`;
  if (typeof ours !== 'number' || typeof theirs !== 'number') return notMeasured(target);
  const measured = 1 - ours / theirs;
  return { target, measured: percent(measured), verdict: verdictOf(measured >= share) };
}

function atMost(
  what: string,
  share: number,
  measured: number,
  values: readonly number[],
): PaperVerdict {
  const target = `${what}: at most ${percent(share)}`;
  if (values.length === 0) return notMeasured(target);
  return { target, measured: percent(measured), verdict: verdictOf(measured <= share) };
}

const notMeasured = (target: string): PaperVerdict => ({
  ...{ target, measured: '–', verdict: 'not measured' },
});

const verdictOf = (held: boolean) => (held ? 'reached' : 'not reached');

const percent = (share: number) => `${(share * 100).toFixed(0)} %`;
