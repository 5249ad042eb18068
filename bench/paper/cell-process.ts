import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { LabGuest } from '../../drill/lab-guest/build.ts';
import { reasonOf } from '../attempt.ts';
import type { Cell, CellResult, FailedCell } from './cell.ts';
import type { CellTimes } from './measure-cell.ts';

/** A cell that takes longer has hung. */
const cellMsMax = 6 * 60_000;
const endMsMax = 30_000;
const childPath = fileURLToPath(new URL('cell-child.js', import.meta.url));

type Answer = { readonly result: CellResult } | { readonly failed: string };

/** Measures a cell in a process and a network namespace of its own: both end with it. */
export async function runCellApart(
  cell: Cell,
  guest: LabGuest,
  times: CellTimes,
): Promise<CellResult | FailedCell> {
  try {
    return await runChild({ cell, guest, times });
  } catch (error) {
    return { ...cell, notRun: reasonOf(error) };
  }
}

export const isMeasuredCell = (cell: CellResult | FailedCell): cell is CellResult =>
  !('notRun' in cell);

function runChild(task: object): Promise<CellResult> {
  return new Promise((resolve, reject) => {
    const child = spawn('unshare', ['--net', '--', process.execPath, childPath], {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    let answer: Answer | undefined;
    // The first signal lets the cell end what it started.
    const deadline = setTimeout(() => child.kill('SIGTERM'), cellMsMax);
    const lastDeadline = setTimeout(() => child.kill('SIGKILL'), cellMsMax + endMsMax);
    child.on('message', (message) => {
      answer = message as Answer;
    });
    child.on('error', reject);
    child.on('exit', (code, signal) => {
      clearTimeout(deadline);
      clearTimeout(lastDeadline);
      if (answer !== undefined && 'result' in answer) resolve(answer.result);
      else if (answer !== undefined) reject(new Error(answer.failed));
      else reject(new Error(`its process ended: ${signal ?? `status ${code}`}`));
    });
    child.send(task);
  });
}
