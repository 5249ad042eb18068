import { fileURLToPath } from 'node:url';
import type { LabGuest } from '../../drill/lab-guest/build.ts';
import { reasonOf } from '../attempt.ts';
import { runApart } from '../child.ts';
import type { CellResult, FailedCell, Life } from './cell.ts';
import type { CellTimes } from './measure-life.ts';

/** A cell that takes longer has hung; and so much for the guest to start and to end. */
const cellMsMax = 3 * 60_000;
const startMsMax = 3 * 60_000;
const childPath = fileURLToPath(new URL('life-child.js', import.meta.url));

/** What the child is told. */
export interface LifeTask {
  readonly life: Life;
  readonly guest: LabGuest;
  readonly times: CellTimes;
  /** What `compileSpeedProbe` made. */
  readonly speedProbe: string;
}

/**
 * Measures the cells of one guest in a process and a network namespace of its own: both end with
 * it. What it could not measure comes back with the reason.
 */
export async function runLifeApart(task: LifeTask): Promise<readonly (CellResult | FailedCell)[]> {
  const { life } = task;
  try {
    return await runApart<readonly (CellResult | FailedCell)[]>({
      command: ['unshare', '--net', '--', process.execPath, childPath],
      ...{ task, msMax: startMsMax + life.cells.length * cellMsMax },
    });
  } catch (error) {
    return life.cells.map((cell) => ({ ...cell, notRun: reasonOf(error) }));
  }
}

export const isMeasuredCell = (cell: CellResult | FailedCell): cell is CellResult =>
  !('notRun' in cell);
