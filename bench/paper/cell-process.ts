import { fileURLToPath } from 'node:url';
import type { LabGuest } from '../../drill/lab-guest/build.ts';
import { reasonOf } from '../attempt.ts';
import { runApart } from '../child.ts';
import type { Cell, CellResult, FailedCell } from './cell.ts';
import type { CellTimes } from './measure-cell.ts';

/** A cell that takes longer has hung. */
const cellMsMax = 6 * 60_000;
const childPath = fileURLToPath(new URL('cell-child.js', import.meta.url));

/** What the child is told. */
export interface CellTask {
  readonly cell: Cell;
  readonly guest: LabGuest;
  readonly times: CellTimes;
}

/** Measures a cell in a process and a network namespace of its own: both end with it. */
export async function runCellApart(
  cell: Cell,
  guest: LabGuest,
  times: CellTimes,
): Promise<CellResult | FailedCell> {
  try {
    const task: CellTask = { cell, guest, times };
    return await runApart<CellResult>({
      command: ['unshare', '--net', '--', process.execPath, childPath],
      ...{ task, msMax: cellMsMax },
    });
  } catch (error) {
    return { ...cell, notRun: reasonOf(error) };
  }
}

export const isMeasuredCell = (cell: CellResult | FailedCell): cell is CellResult =>
  !('notRun' in cell);
