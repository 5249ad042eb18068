import { watchInterrupts } from '../../drill/interrupt.ts';
import { answerOneTask } from '../child.ts';
import type { LifeTask } from './life-process.ts';
import { measureLife } from './measure-life.ts';

// The process of one guest, in a network namespace of its own; `life-process.ts` starts it.
answerOneTask(async (task: LifeTask) => {
  const { signal } = watchInterrupts();
  return await measureLife(task, signal);
});
