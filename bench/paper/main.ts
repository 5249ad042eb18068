import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { sweepDeadRuns } from '../../drill/run-folder.ts';
import { readConditions } from '../conditions.ts';
import {
  type Cell,
  type CellResult,
  type FailedCell,
  livesOf,
  nameOfCell,
  planCells,
} from './cell.ts';
import { compileSpeedProbe } from './core-speed.ts';
import { buildPaperGuest } from './guest-image.ts';
import { isMeasuredCell, type LifeTask, runLifeApart } from './life-process.ts';
import type { CellTimes } from './measure-life.ts';
import { figureFolder, type PaperReport, renderPaperPage } from './page.ts';
import { byModeAndWorkload } from './report-json.ts';
import { type WorkloadName, workloads } from './workloads.ts';

const names = workloads.map(({ name }) => name);
const usage = `Usage: npm run bench:paper -- [options]

Runs the modes remus, llm and fgbi on the same workloads in a real guest, as section 4 of the FGBI
paper does. Without options everything is run (an hour; the machine should have nothing else
to do) and docs/paper-comparison.md is written anew; with any option only with --write.

  --quick          few workloads, short runs: some minutes
  --workload NAME  only this one; may be repeated: ${names.join(', ')}
  --json           print one JSON object on standard output
  --write          write the page and its figures
  --help           this text
`;

const fullTimes: CellTimes = {
  ...{ aloneMs: 5000, protectedMs: 6500, shorterMs: 3000 },
  ...{ turns: 2, fgbiTurns: 4, failovers: 3 },
};
const quickTimes: CellTimes = {
  ...{ aloneMs: 3000, protectedMs: 5000, shorterMs: 3000 },
  ...{ turns: 1, fgbiTurns: 2, failovers: 1 },
};
const docs = fileURLToPath(new URL('../../../docs/', import.meta.url));

process.exitCode = await main(process.argv.slice(2));

/** Exit status: 0 everything was measured, 1 something was not, 2 wrong usage. */
async function main(args: readonly string[]): Promise<number> {
  const options = readOptions(args);
  if (typeof options === 'string') {
    process.stderr.write(`${options}\n\n${usage}`);
    return 2;
  }
  if (options.help) {
    process.stdout.write(usage);
    return 0;
  }
  const conditions = await readConditions(say);
  const measured = await measureAll(options);
  const report: PaperReport = { conditions, quick: options.quick, ...measured };
  if (options.write) await writePage(report);
  if (options.json) {
    const { measured: results, notRun } = byModeAndWorkload(report.cells);
    process.stdout.write(`${JSON.stringify({ ...report, results, notRun })}\n`);
  }
  return report.cells.every(isMeasuredCell) ? 0 : 1;
}

async function measureAll({ quick, workload }: Options) {
  await sweepDeadRuns();
  const folder = await mkdtemp(join(tmpdir(), 'understudy-paper-'));
  try {
    const guest = await buildPaperGuest(folder);
    const speedProbe = await compileSpeedProbe(folder);
    const plan = { guest, times: quick ? quickTimes : fullTimes, speedProbe };
    const planned = planCells(quick, workload);
    const first = await runCells(planned, plan);
    // Once more, in a guest of their own: one that failed took the cells after it along.
    const failed = first.filter((cell): cell is FailedCell => !isMeasuredCell(cell));
    const second = await runCells(failed.map(plainCell), plan);
    const cells = planned.map((cell) => {
      const isThis = (one: Cell) => nameOfCell(one) === nameOfCell(cell);
      return second.find(isThis) ?? first.find(isThis)!;
    });
    return { cells, failedFirst: failed };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function runCells(
  planned: readonly Cell[],
  plan: Omit<LifeTask, 'life'>,
): Promise<readonly (CellResult | FailedCell)[]> {
  const cells: (CellResult | FailedCell)[] = [];
  for (const life of livesOf(planned)) {
    for (const result of await runLifeApart({ life, ...plan })) {
      cells.push(result);
      say(`${cells.length} of ${planned.length}: ${nameOfCell(result)}: ${describe(result)}`);
    }
  }
  return cells;
}

function plainCell({ notRun: _notRun, ...cell }: FailedCell): Cell {
  return cell;
}

async function writePage(report: PaperReport): Promise<void> {
  const { page, figures } = renderPaperPage(report);
  await rm(join(docs, figureFolder), { recursive: true, force: true });
  await mkdir(join(docs, figureFolder), { recursive: true });
  for (const { file, svg } of figures) await writeFile(join(docs, figureFolder, file), svg);
  await writeFile(join(docs, 'paper-comparison.md'), page);
  say('docs/paper-comparison.md is written');
}

interface Options {
  readonly quick: boolean;
  readonly json: boolean;
  readonly write: boolean;
  readonly help: boolean;
  readonly workload: readonly WorkloadName[];
}

/** The options, or what is wrong with them. */
function readOptions(args: readonly string[]): Options | string {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        quick: { type: 'boolean', default: false },
        workload: { type: 'string', multiple: true, default: [] },
        json: { type: 'boolean', default: false },
        write: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
    const { workload } = values;
    const unknown = workload.find((one) => !names.includes(one as WorkloadName));
    if (unknown !== undefined) return `There is no workload "${unknown}".`;
    if (values.write && workload.length > 0) return '--write needs all workloads.';
    const write = values.write || args.length === 0;
    return { ...values, write, workload: workload as WorkloadName[] };
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function describe(cell: CellResult | FailedCell): string {
  if (!isMeasuredCell(cell)) return `not measured: ${cell.notRun}`;
  const { typeIMs, typeIIMs, wire } = cell;
  const typeI = typeIMs === null ? 'did not come back' : `type I ${typeIMs.toFixed(0)} ms`;
  return `${typeI}, type II ${typeIIMs.p50.toFixed(1)} ms, wire ${wire.ratio.toFixed(3)}`;
}

function say(line: string): void {
  process.stderr.write(`bench:paper: ${line}\n`);
}
