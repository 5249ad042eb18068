import { type Conditions, quietCores } from '../conditions.ts';
import { conditionTable, table } from '../page.ts';
import {
  type CellResult,
  comparedModes,
  type FailedCell,
  isUsual,
  llmCheckpointPeriods,
  memoryBound,
  nameOfCell,
  periodWorkloads,
} from './cell.ts';
import { type Figure, paperFigures, periodFigure } from './figures.ts';
import { isMeasuredCell } from './life-process.ts';
import { paperSays, whyTheyDiffer } from './paper-says.ts';
import { judgePaper } from './targets.ts';
import { workloads } from './workloads.ts';

export interface PaperReport {
  readonly conditions: Conditions;
  readonly quick: boolean;
  readonly cells: readonly (CellResult | FailedCell)[];
  /** What failed and was run once more: what came of it is in `cells`. */
  readonly failedFirst: readonly FailedCell[];
}

/** Beside the page. */
export const figureFolder = 'paper-comparison';

/** docs/paper-comparison.md out of one run, and the figures that it shows. */
export function renderPaperPage({ conditions, quick, cells, failedFirst }: PaperReport): {
  readonly page: string;
  readonly figures: readonly Figure[];
} {
  const measured = cells.filter(isMeasuredCell);
  const figures = paperFigures(measured);
  const figure = (file: string) =>
    figures
      .filter((one) => one.file === file)
      .map(({ title }) => `![${title}](${figureFolder}/${file})`)
      .join('');
  const parts = [
    '# The paper’s comparison, again',
    `Written by \`npm run bench:paper\`${quick ? ' with `--quick --write`' : ''}; do not edit. What
section 4 of the FGBI paper (Lu, Ravindran, Kim) compares, on this engine: its modes \`remus\`,
\`llm\` and \`fgbi\` on the same workloads, in one run on one machine.`,
    warning(conditions, quick),
    conditionTable(conditions),
    howItWasMeasured,
    workloadTable(measured),
    '## Numbers to reach',
    table(
      ['To reach', 'Measured', 'Verdict'],
      judgePaper(measured).map((one) => [one.target, one.measured, one.verdict]),
    ),
    '## Figure 4: type I downtime',
    ...[paperSays.typeI, figure('type-i.svg')],
    ...periodWorkloads.map((name) => figure(periodFigure(name))),
    ...[phaseTable(measured), whyTheyDiffer.typeI, figure('regained.svg')],
    '## Table 1: type II downtime',
    ...[paperSays.typeII, typeIITable(measured), figure('type-ii.svg'), whyTheyDiffer.typeII],
    '## Figure 5a: overhead against the block size',
    ...[paperSays.overhead, figure('block-size.svg') || notInThisRun, whyTheyDiffer.overhead],
    '## Figure 5b: the techniques',
    ...[paperSays.techniques, figure('techniques.svg') || notInThisRun, whyTheyDiffer.techniques],
    '## All that was measured',
    resultTable(measured),
    ...failures(
      'Not measured:',
      cells.filter((cell): cell is FailedCell => !isMeasuredCell(cell)),
    ),
    ...failures('Failed, and run once more in a guest of its own:', failedFirst),
  ];
  return { page: `${parts.filter((part) => part !== '').join('\n\n')}\n`, figures };
}

const notInThisRun = 'Not part of this run: `npm run bench:paper` without `--quick` measures it.';

const howItWasMeasured = `Each line of the last table is one setting of one mode on one workload. A
guest works alone; then it is protected; then the primary agent and QEMU are killed at a random
instant of an epoch, and the guest goes on at the backup. There it is protected again by a new
backup, which knows nothing of it, and killed again, for the next sample or the next setting: a mode
and a workload are one life of one guest. Guest, agents, NATS server and client are on one
machine; the guest is kept to core 0, everything else to core 1. The guest is on a cable, so the
modes' rules for output hold. The checkpointing period is what the paper takes it for: the time
between checkpoints, and for \`llm\` that between batches of logged input, with a checkpoint each
${llmCheckpointPeriods} periods.

- **Type I**: from the kill until a client's new question (on a new connection, one each 40 ms) is
  answered by the resumed guest. **Resumed** is the part until the guest runs. **Regained**: until
  an answer goes beyond everything that clients had been told before the kill. The median of the
  failovers is given, and each of them beside it (the paper averages twenty).
- **Type II**: how long the guest stands still for a checkpoint, over the checkpoints before the
  first kill. The paper gives averages: so means are compared, medians are given beside them.
- **Overhead**: the share of its work that the guest loses under protection, against the same guest
  alone, just before. The guest is alone and protected by turns, each for some seconds (the backup
  is stopped and another one started); the median of the turns is given, and each of them. At other
  periods and techniques it is not measured. Where cores are shared with other machines' work, a
  core's speed goes up and down by a fifth within seconds: a small probe on the guest's core measures
  it all the while, and work is compared at equal speed. **By the clock** is the same without that;
  **standing still**, the part of it that is pauses.
- **Agents**: processor time of each agent while the guest was protected, as a share of one core.
- **Wire**: bytes of all frames over dirty pages times 4096.`;

function warning({ busyCoresAtStart }: Conditions, quick: boolean): string {
  const words = [
    quick ? 'A quick run: few workloads, short times.' : '',
    busyCoresAtStart > quietCores
      ? `Other work ran on this machine meanwhile (${busyCoresAtStart.toFixed(1)} cores were busy
before the start): all times are longer than on a quiet one, and overheads less certain.`
      : '',
  ].filter((word) => word !== '');
  return words.length === 0 ? '' : `**${words.join(' ')}**`;
}

function workloadTable(cells: readonly CellResult[]): string {
  const here = workloads.filter(({ name }) => cells.some(({ workload }) => workload === name));
  return `## Workloads\n\n${table(
    ['Name', 'What the guest does', 'Memory'],
    here.map(({ name, about, memoryBytes }) => [
      ...[name, about.replaceAll('\n', ' '), `${memoryBytes / 2 ** 20} MiB`],
    ]),
  )}`;
}

function typeIITable(cells: readonly CellResult[]): string {
  const usual = cells.filter(isUsual);
  const rows = workloads.flatMap(({ name }) => {
    const found = comparedModes.map((mode) =>
      usual.find((cell) => cell.workload === name && cell.mode === mode),
    );
    if (found.every((cell) => cell === undefined)) return [];
    const times = found.map((cell) => (cell === undefined ? '–' : typeIIWords(cell)));
    const [remus, llm, fgbi] = found.map((cell) => cell?.typeIIMs.mean);
    return [[name, ...times, shorterBy(fgbi, remus), shorterBy(fgbi, llm)]];
  });
  return table(
    ['Ours, ms: mean / p50 / p99', ...comparedModes, 'fgbi against remus', 'fgbi against llm'],
    rows,
  );
}

const typeIIWords = ({ typeIIMs: { mean, p50, p99 } }: CellResult) =>
  [mean, p50, p99].map(ms).join(' / ');

/** Where type I goes in the memory-bound workload, mode by mode. */
function phaseTable(cells: readonly CellResult[]): string {
  const usual = cells.filter(({ workload }) => workload === memoryBound).filter(isUsual);
  const rows = usual.map(({ mode, typeIPhasesMs: { detect, decide, load, answer } }) => [
    ...[mode, ...[detect, decide, load, answer].map(ms)],
  ]);
  const head = ['silence', 'the term', 'load and resume', 'until a client is answered'];
  return rows.length === 0 ? '' : table([`Type I of ${memoryBound}, ms, medians`, ...head], rows);
}

const shorterBy = (ours: number | undefined, theirs: number | undefined) =>
  ours === undefined || theirs === undefined ? '–' : signedPercent(ours / theirs - 1);

const signedPercent = (share: number) => `${share > 0 ? '+' : ''}${(share * 100).toFixed(0)} %`;

function resultTable(cells: readonly CellResult[]): string {
  const head = ['Mode, workload, period', 'Type I', 'Each failover', 'Resumed', 'Regained'];
  return table(
    [
      ...head,
      'Type II mean / p50 / p99',
      'Checkpoints',
      'Acknowledged',
      'Overhead (each turn)',
      'By the clock',
      'Standing still',
      'Agents (primary, backup)',
      'Wire',
      'Dirty pages/s',
      'Load',
    ],
    cells.map((cell) => [
      nameOfCell(cell),
      ...[msOrNone(cell.typeIMs), cell.typeISamplesMs.map(msOrNone).join(', ')],
      ...[msOrNone(cell.resumedMs), msOrNone(cell.regainedMs)],
      typeIIWords(cell),
      ...[`${cell.epochs}`, msOrNone(cell.ackMs), overheadWords(cell)],
      ...[percentOrNone(cell.overheadByClock), percentOrNone(cell.pausedShare)],
      `${percentOrNone(cell.agentCores.primary)}, ${percentOrNone(cell.agentCores.backup)}`,
      ...[cell.wire.ratio.toFixed(3), Math.round(cell.dirtyPagesPerSecond).toLocaleString('en-US')],
      cell.loadAverage.toFixed(1),
    ]),
  );
}

function overheadWords({ overhead, overheadSamples }: CellResult): string {
  if (overhead === null) return '–';
  const each = overheadSamples.map((share) => (share * 100).toFixed(0)).join(', ');
  return `${percentOrNone(overhead)} (${each})`;
}

const percentOrNone = (share: number | null) =>
  share === null ? '–' : `${(share * 100).toFixed(1)} %`;

function failures(what: string, cells: readonly FailedCell[]): string[] {
  if (cells.length === 0) return [];
  const rows = cells.map((cell) => `- ${nameOfCell(cell)}: ${cell.notRun}`);
  return [`${what}\n\n${rows.join('\n')}`];
}

const ms = (value: number) =>
  value >= 10 ? Math.round(value).toLocaleString('en-US') : value.toFixed(2);

const msOrNone = (value: number | null) => (value === null ? 'none' : `${ms(value)} ms`);
