import { UnderstudyError } from '../errors.ts';

/** One thing that is wrong with a configuration file. Lines and columns count from 1. */
export interface Problem {
  readonly kind: ProblemKind;
  readonly line: number;
  readonly column: number;
  /** `epoch.intervalMs`, `guest.disks[0].path`; empty for the file as a whole. */
  readonly key: string;
  readonly expected: string;
  readonly found: string;
  /** What was probably meant; empty if nothing comes near. */
  readonly suggestion: string;
}

export type ProblemKind =
  | 'syntax'
  | 'duplicate'
  | 'unknown'
  | 'other-role'
  | 'missing'
  | 'type'
  | 'range'
  | 'conflict';

/** A file that was refused, with everything that is wrong with it. */
export class ConfigError extends UnderstudyError {
  readonly problems: readonly Problem[];

  /** `problems` has at least one element; they are put in the order of the file. */
  constructor(file: string, problems: readonly Problem[]) {
    const sorted = problems.toSorted((a, b) => a.line - b.line || a.column - b.column);
    const first = sorted[0]!;
    const lines = sorted.map((problem) => `${file}:${describeProblem(problem)}`);
    const head = `${file} has ${sorted.length} problems`;
    super(codeOf(sorted), lines.length === 1 ? lines[0]! : [head, ...lines].join('\n  '), {
      hint: `\`understudy config schema\` describes every key; \`understudy config check ${file}\` \
tries a file without starting anything`,
      fields: { file, line: first.line, column: first.column, key: first.key },
    });
    this.problems = sorted;
  }
}

/** `12:3: epoch.intervalMs: expected …, found …; did you mean …?` */
export function describeProblem(problem: Problem): string {
  const { line, column, key, expected, found, suggestion } = problem;
  const text = expected === '' ? found : `expected ${expected}, found ${found}`;
  const place = key === '' ? '' : `${key}: `;
  return `${line}:${column}: ${place}${text}${suggestion === '' ? '' : `; ${suggestion}`}`;
}

function codeOf(problems: readonly Problem[]): string {
  const kinds = new Set(problems.map((problem) => problem.kind));
  if (kinds.has('syntax')) return 'E_CONFIG_SYNTAX';
  if (kinds.size === 1 && kinds.has('conflict')) return 'E_CONFIG_CONFLICT';
  return 'E_CONFIG_INVALID';
}
