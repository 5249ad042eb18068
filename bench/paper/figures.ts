import { type BarChart, barChart } from '../bar-chart.ts';
import {
  type Cell,
  type CellResult,
  comparedModes,
  isUsual,
  memoryBound,
  periodWorkloads,
} from './cell.ts';
import { type WorkloadName, workloads } from './workloads.ts';

export interface Figure {
  readonly file: string;
  readonly title: string;
  readonly svg: string;
}

type Value = (cell: CellResult) => number | null;

const wholeMs = (ms: number) => (ms >= 10 ? ms.toFixed(0) : ms.toFixed(1));
const percent = (share: number) => `${(share * 100).toFixed(1)} %`;

/** Those for which something was measured. */
export function paperFigures(cells: readonly CellResult[]): readonly Figure[] {
  return [
    figure('type-i.svg', {
      ...millis('Figure 4: type I downtime, at 100 ms'),
      names: comparedModes,
      groups: byWorkload(cells, (cell) => cell.typeIMs),
    }),
    figure('regained.svg', {
      ...millis('From the kill until clients are told more than before it, at 100 ms'),
      names: comparedModes,
      groups: byWorkload(cells, (cell) => cell.regainedMs),
    }),
    ...periodWorkloads.map((name) =>
      figure(periodFigure(name), {
        ...millis(`Figure 4: type I downtime against the period, ${name}`),
        names: comparedModes,
        groups: byPeriod(cells, name, (cell) => cell.typeIMs),
      }),
    ),
    figure('type-ii.svg', {
      ...millis('Table 1: type II downtime, mean, at 100 ms'),
      names: comparedModes,
      groups: byWorkload(cells, (cell) => cell.typeIIMs.mean),
    }),
    figure('block-size.svg', {
      ...{
        title: 'Figure 5a: overhead of fgbi against the block size',
        yLabel: 'share of the work',
      },
      ...{ format: percent, logarithmic: false },
      names: ['64 bytes', '128 bytes', '256 bytes'],
      groups: byBlockSize(cells, (cell) => cell.overhead),
    }),
    figure('techniques.svg', {
      ...millis(`Figure 5b: what each technique does for fgbi, ${memoryBound}`),
      names: ['blocks alone', '+ sharing', '+ compression', '+ both'],
      groups: byTechnique(cells),
    }),
  ].filter((one) => one !== undefined);
}

/** Of one workload: the paper's figure 4 has one drawing for each, too. */
export const periodFigure = (workload: WorkloadName) => `type-i-periods-${workload}.svg`;

const millis = (title: string) => ({
  ...{ title, yLabel: 'ms (logarithmic)', format: wholeMs, logarithmic: true },
});

function figure(file: string, chart: BarChart): Figure | undefined {
  // A figure of one cell in each group compares nothing.
  const isWorthDrawing = chart.groups.some(
    ({ values }) => values.filter((value) => value !== undefined).length > 1,
  );
  return isWorthDrawing ? { file, title: chart.title, svg: barChart(chart) } : undefined;
}

function valueAt(cells: readonly CellResult[], wanted: Partial<Cell>, value: Value) {
  const cell = cells.find((one) =>
    Object.entries(wanted).every(([key, word]) => one[key as keyof Cell] === word),
  );
  return (cell && value(cell)) ?? undefined;
}

function byWorkload(cells: readonly CellResult[], value: Value): BarChart['groups'] {
  const usual = cells.filter(isUsual);
  return workloads
    .filter(({ name }) => usual.some(({ workload }) => workload === name))
    .map(({ name }) => ({
      label: name,
      values: comparedModes.map((mode) => valueAt(usual, { mode, workload: name }, value)),
    }));
}

const whole = { blockBytes: 64, sharing: true, compression: true } as const;

function byPeriod(
  cells: readonly CellResult[],
  workload: WorkloadName,
  value: Value,
): BarChart['groups'] {
  const own = cells.filter((cell) => cell.workload === workload);
  const periods = [...new Set(own.map(({ periodMs }) => periodMs))].sort((a, b) => a - b);
  if (periods.length < 2) return [];
  return periods.map((periodMs) => ({
    label: `${periodMs} ms`,
    values: comparedModes.map((mode) => valueAt(own, { ...whole, mode, periodMs }, value)),
  }));
}

function byBlockSize(cells: readonly CellResult[], value: Value): BarChart['groups'] {
  return workloads
    .map(({ name }) => ({
      label: name,
      values: ([64, 128, 256] as const).map((blockBytes) =>
        valueAt(
          cells,
          { ...whole, mode: 'fgbi', workload: name, periodMs: 100, blockBytes },
          value,
        ),
      ),
    }))
    .filter(({ values }) => values.every((one) => one !== undefined));
}

/** Names of what figure 5b breaks down, in the order of its bars. */
export const techniqueParts = [
  { sharing: false, compression: false },
  { sharing: true, compression: false },
  { sharing: false, compression: true },
  { sharing: true, compression: true },
] as const;

export const techniqueCells = (cells: readonly CellResult[]) =>
  techniqueParts.map((part) =>
    cells.find(
      (cell) =>
        cell.mode === 'fgbi' &&
        cell.workload === memoryBound &&
        cell.periodMs === 100 &&
        cell.blockBytes === 64 &&
        cell.sharing === part.sharing &&
        cell.compression === part.compression,
    ),
  );

function byTechnique(cells: readonly CellResult[]): BarChart['groups'] {
  const found = techniqueCells(cells);
  return [
    { label: 'type I', values: found.map((cell) => cell?.typeIMs ?? undefined) },
    { label: 'type II, median', values: found.map((cell) => cell?.typeIIMs.p50) },
    { label: 'until acknowledged, median', values: found.map((cell) => cell?.ackMs ?? undefined) },
  ];
}
