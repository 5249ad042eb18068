import { watchInterrupts } from '../../drill/interrupt.ts';
import type { LabGuest } from '../../drill/lab-guest/build.ts';
import { reasonOf } from '../attempt.ts';
import type { Cell } from './cell.ts';
import { type CellTimes, measureCell } from './measure-cell.ts';

// The process of one cell, in a network namespace of its own; `cell-process.ts` starts it.
process.once('message', async (task: { cell: Cell; guest: LabGuest; times: CellTimes }) => {
  const { signal } = watchInterrupts();
  process.on('disconnect', () => process.kill(process.pid, 'SIGTERM'));
  let answer: object;
  try {
    answer = { result: await measureCell(task.cell, task.guest, task.times, signal) };
  } catch (error) {
    answer = { failed: reasonOf(error) };
  }
  process.send?.(answer, () => process.exit());
});
