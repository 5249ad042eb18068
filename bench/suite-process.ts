import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { reasonOf } from './attempt.ts';
import type { Row } from './row.ts';
import type { Suite, SuiteOptions, SuiteResult } from './suite.ts';

/** A suite that takes longer has hung. */
const suiteMsMax = 15 * 60_000;
const endMsMax = 30_000;

/**
 * Runs a suite in a process of its own: what one suite leaves in the heap or in the compiler's
 * caches does not reach the next, and a suite that fails costs its own rows only.
 */
export async function runSuiteApart(suite: Suite, options: SuiteOptions): Promise<SuiteResult> {
  const startedAt = performance.now();
  let rows: readonly Row[];
  try {
    rows = await runChild(suite.name, options);
  } catch (error) {
    const notRun = reasonOf(error);
    options.progress(`suite ${suite.name} did not run: ${notRun}`);
    rows = suite.rowIds.map((id) => ({ id, what: id, notRun }));
  }
  return { name: suite.name, tookMs: performance.now() - startedAt, rows };
}

const childPath = fileURLToPath(new URL('suite-child.js', import.meta.url));

/** The child answers with one message: `{rows}` or `{failed}`. */
type Answer = { readonly rows: readonly Row[] } | { readonly failed: string };

function runChild(name: string, { quick }: SuiteOptions): Promise<readonly Row[]> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['--expose-gc', childPath, name, `${quick}`], {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    let answer: Answer | undefined;
    // The first signal lets the suite end what it started.
    const deadline = setTimeout(() => child.kill('SIGTERM'), suiteMsMax);
    const lastDeadline = setTimeout(() => child.kill('SIGKILL'), suiteMsMax + endMsMax);
    child.on('message', (message) => {
      answer = message as Answer;
    });
    child.on('error', reject);
    child.on('exit', (code, signal) => {
      clearTimeout(deadline);
      clearTimeout(lastDeadline);
      if (answer !== undefined && 'rows' in answer) resolve(answer.rows);
      else if (answer !== undefined) reject(new Error(answer.failed));
      else reject(new Error(`its process ended: ${signal ?? `status ${code}`}`));
    });
  });
}
