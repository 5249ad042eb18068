import test from 'ava';
import {
  type Cell,
  type CellResult,
  isUsual,
  livesOf,
  nameOfCell,
  planCells,
} from '../../../bench/paper/cell.ts';
import { renderPaperPage } from '../../../bench/paper/page.ts';
import { byModeAndWorkload } from '../../../bench/paper/report-json.ts';
import { judgePaper } from '../../../bench/paper/targets.ts';

const conditions = {
  ...{ date: '2026-01-02 03:04 UTC', processor: 'A', cores: 2, memoryGib: 24, kernel: '6.18' },
  ...{ node: 'v20', qemu: 'QEMU 7.2', natsServer: 'nats-server 2.9', compiler: 'gcc 12' },
  ...{ busyCoresAtStart: 0.15, commit: 'abc' },
};

function result(cell: Cell, scale: number): CellResult {
  return {
    ...cell,
    ...{ typeIMs: 400 * scale, typeISamplesMs: [400 * scale, null, 300 * scale] },
    ...{ resumedMs: 300 * scale, regainedMs: 500 * scale },
    typeIPhasesMs: { detect: 190, decide: 12, load: 20, answer: 100 },
    ...{ typeIIMs: { mean: 3 * scale, p50: 2 * scale, p99: 9 * scale }, pausedShare: 0.03 },
    ...{ epochs: 50, ackMs: 20 * scale },
    ...{
      overhead: 0.05,
      overheadSamples: [0.04, 0.05, 0.06],
      overheadByClock: 0.11,
      agentCores: { primary: 0.2, backup: 0.1 },
      wire: { ratio: 0.2 * scale, bytesPerSecond: 1e6 },
    },
    ...{ dirtyPagesPerSecond: 5000, loadAverage: 1.5 },
  };
}

const scaleOf = { remus: 4, llm: 20, fgbi: 1 } as const;
const measured = planCells(false).map((cell) => result(cell, scaleOf[cell.mode]));

test('every cell of a run is measured once, each workload in every mode', (t) => {
  for (const quick of [true, false]) {
    const cells = planCells(quick);
    t.is(new Set(cells.map(nameOfCell)).size, cells.length);
    for (const workload of new Set(cells.map((cell) => cell.workload))) {
      const usual = cells.filter((cell) => cell.workload === workload && cell.periodMs === 100);
      t.deepEqual(new Set(usual.map(({ mode }) => mode)), new Set(['remus', 'llm', 'fgbi']));
    }
  }
  t.true(planCells(false, ['ep']).every(({ workload }) => workload === 'ep'));
});

test('a guest lives through every cell of its mode and workload, the usual one first', (t) => {
  const cells = planCells(false);
  const lives = livesOf(cells);
  t.is(lives.length, new Set(cells.map(({ mode, workload }) => `${mode} ${workload}`)).size);
  t.is(lives.flatMap((life) => life.cells).length, cells.length);
  for (const { mode, workload, cells: own } of lives) {
    t.true(isUsual(own[0]!));
    t.true(own.every((cell) => cell.mode === mode && cell.workload === workload));
  }
});

test('a full run has all figures of the paper, and a page that shows them', (t) => {
  const { page, figures } = renderPaperPage({
    conditions,
    quick: false,
    cells: measured,
    failedFirst: [],
  });
  t.deepEqual(
    figures.map(({ file }) => file),
    [
      ...['type-i.svg', 'regained.svg'],
      ...['web', 'ep', 'dynamic', 'mix', 'memory-256'].map((name) => `type-i-periods-${name}.svg`),
      ...['type-ii.svg', 'block-size.svg', 'techniques.svg'],
    ],
  );
  for (const { file, svg } of figures) {
    t.true(page.includes(`](paper-comparison/${file})`), file);
    t.notRegex(svg, /NaN|undefined|Infinity/, file);
    t.regex(svg, /^<svg .*<\/svg>\n$/s, file);
  }
  t.notRegex(page, /NaN|undefined|Infinity|Not part of this run|Other work ran/);
  t.true(
    page.includes('| idle | 12 / 8.00 / 36 | 60 / 40 / 180 | 3.00 / 2.00 / 9.00 | -75 % | -95 % |'),
  );
  t.true(page.includes('| fgbi | 190 | 12 | 20 | 100 |'));
  t.true(page.includes('| 5.0 % (4, 5, 6) | 11.0 % | 3.0 % | 20.0 %, 10.0 % |'));
});

test('what was not measured is on the page with its reason, and no number in its place', (t) => {
  const [first, ...others] = planCells(true);
  const cells = [{ ...first!, notRun: 'no luck' }, ...others.map((cell) => result(cell, 1))];
  const busy = { ...conditions, busyCoresAtStart: 1.7 };
  const failedFirst = [{ ...others[0]!, notRun: 'a bad day' }];
  const { page } = renderPaperPage({ conditions: busy, quick: true, cells, failedFirst });
  t.true(page.includes(`Not measured:\n\n- ${nameOfCell(first!)}: no luck`));
  t.regex(page, /run once more in a guest of its own:\n\n- llm, idle, 100 ms: a bad day/);
  t.regex(page, /A quick run.*Other work ran on this machine meanwhile \(1\.7 cores were busy/s);
  t.regex(page, /Not part of this run/);
  const { measured, notRun } = byModeAndWorkload(cells);
  t.is(notRun.length, 1);
  t.is(measured.remus?.idle, undefined);
  t.like(measured.fgbi?.['memory-256'], { typeIMs: 400, typeIIMs: { mean: 3, p50: 2, p99: 9 } });
});

test('what is to be reached is judged by what was measured', (t) => {
  const verdicts = (cells: readonly CellResult[]) =>
    judgePaper(cells).map(({ verdict }) => verdict);
  t.deepEqual(verdicts(measured), Array(11).fill('reached'));
  t.deepEqual(verdicts([]), Array(11).fill('not measured'));
  const same = measured.map((cell) => ({ ...result(cell, 1), overhead: 0.2 }));
  t.deepEqual(verdicts(same), Array(11).fill('not reached'));
});
