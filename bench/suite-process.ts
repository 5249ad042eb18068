import { fileURLToPath } from 'node:url';
import { reasonOf } from './attempt.ts';
import { runApart } from './child.ts';
import type { Row } from './row.ts';
import type { Suite, SuiteOptions, SuiteResult } from './suite.ts';

/** A suite that takes longer has hung. */
const suiteMsMax = 15 * 60_000;
const childPath = fileURLToPath(new URL('suite-child.js', import.meta.url));

/** What the child is told. */
export interface SuiteTask {
  readonly name: string;
  readonly quick: boolean;
}

/**
 * Runs a suite in a process of its own: what one suite leaves in the heap or in the compiler's
 * caches does not reach the next, and a suite that fails costs its own rows only.
 */
export async function runSuiteApart(suite: Suite, options: SuiteOptions): Promise<SuiteResult> {
  const startedAt = performance.now();
  let rows: readonly Row[];
  try {
    const { quick } = options;
    const task: SuiteTask = { name: suite.name, quick };
    rows = await runApart<readonly Row[]>({
      command: [process.execPath, '--expose-gc', childPath],
      ...{ task, msMax: suiteMsMax },
    });
  } catch (error) {
    const notRun = reasonOf(error);
    options.progress(`suite ${suite.name} did not run: ${notRun}`);
    rows = suite.rowIds.map((id) => ({ id, what: id, notRun }));
  }
  return { name: suite.name, tookMs: performance.now() - startedAt, rows };
}
