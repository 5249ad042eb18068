import { type CellResult, isUsual, memoryBound } from './cell.ts';

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
  const overheads = usual
    .filter(({ mode, workload }) => mode === 'fgbi' && workload !== 'idle')
    .flatMap(({ overhead }) => overhead ?? []);
  const average = overheads.reduce((sum, one) => sum + one, 0) / overheads.length;
  const worst = Math.max(...overheads);
  return [
    shorter('type I', 'remus', 0.45, fgbi?.typeIMs, remus?.typeIMs),
    shorter('type I', 'llm', 0.77, fgbi?.typeIMs, llm?.typeIMs),
    shorter('type II', 'remus', 0.7, fgbi?.typeIIMs.p50, remus?.typeIIMs.p50),
    shorter('type II', 'llm', 0.9, fgbi?.typeIIMs.p50, llm?.typeIIMs.p50),
    atMost('Overhead of fgbi, average of the workloads that work', 0.08, average, overheads),
    atMost('Overhead of fgbi, worst of them', 0.13, worst, overheads),
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
