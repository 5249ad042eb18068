import { watchInterrupts } from '../../drill/interrupt.ts';
import { answerOneTask } from '../child.ts';
import type { CellTask } from './cell-process.ts';
import { measureCell } from './measure-cell.ts';

// The process of one cell, in a network namespace of its own; `cell-process.ts` starts it.
answerOneTask(async ({ cell, guest, times }: CellTask) => {
  const { signal } = watchInterrupts();
  return await measureCell(cell, guest, times, signal);
});
