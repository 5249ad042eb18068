import { spawn } from 'node:child_process';
import { reasonOf } from './attempt.ts';

const endMsMax = 30_000;

export interface ChildOptions {
  /** The program and its arguments. */
  readonly command: readonly [string, ...string[]];
  /** What it is told first, over its channel. */
  readonly task: object;
  /** A child that takes longer has hung: it is asked to end, and then ended. */
  readonly msMax: number;
}

/** What a child says, once. */
type Answer<T> = { readonly done: T } | { readonly failed: string };

/**
 * Has a process of its own do a task: what it leaves in the heap, in the compiler's caches or in a
 * network ends with it. Resolves with what it answers; throws what it says went wrong.
 */
export function runApart<T>({ command, task, msMax }: ChildOptions): Promise<T> {
  return new Promise((resolve, reject) => {
    const [program, ...args] = command;
    const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    let answer: Answer<T> | undefined;
    // The first signal lets the child end what it started.
    const deadline = setTimeout(() => child.kill('SIGTERM'), msMax);
    const lastDeadline = setTimeout(() => child.kill('SIGKILL'), msMax + endMsMax);
    child.on('message', (message) => {
      answer = message as Answer<T>;
    });
    child.on('error', reject);
    child.on('exit', (code, signal) => {
      clearTimeout(deadline);
      clearTimeout(lastDeadline);
      if (answer !== undefined && 'done' in answer) resolve(answer.done);
      else if (answer !== undefined) reject(new Error(answer.failed));
      else reject(new Error(`its process ended: ${signal ?? `status ${code}`}`));
    });
    // One that ends early says so by its exit.
    child.send(task, () => {});
  });
}

/**
 * The child's side: does the one task that it is sent, answers and ends. Where the parent is gone
 * first, it ends as if it had been asked to.
 */
export function answerOneTask<Task>(carryOut: (task: Task) => Promise<unknown>): void {
  if (process.send === undefined) throw new Error('this is started by the benchmark');
  const answer = (message: Answer<unknown>) => process.send!(message, () => process.exit());
  process.on('disconnect', () => process.kill(process.pid, 'SIGTERM'));
  process.once('message', async (task: Task) => {
    try {
      answer({ done: await carryOut(task) });
    } catch (error) {
      process.stderr.write(`${error instanceof Error ? error.stack : error}\n`);
      answer({ failed: reasonOf(error) });
    }
  });
}
