import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const warnings = ['-std=gnu11', '-Wall', '-Wextra', '-Werror'];

/** Compiles a C file into a program. `flags`: what it needs beyond warnings. Throws what gcc says. */
export async function compileC(
  source: string,
  program: string,
  flags: readonly string[],
): Promise<void> {
  const libraries = flags.filter((flag) => flag.startsWith('-l'));
  const others = flags.filter((flag) => !flag.startsWith('-l'));
  // Libraries come after what needs them.
  const args = [...others, ...warnings, '-o', program, source, ...libraries];
  await promisify(execFile)('gcc', args);
}
