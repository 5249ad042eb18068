import type { Row } from './row.ts';

/** How much is measured. */
export interface SuiteOptions {
  /** A short look: few and short runs, small guests. Its numbers are not for the page. */
  readonly quick: boolean;
  /** Says on stderr what goes on. */
  readonly progress: (line: string) => void;
}

export interface Suite {
  readonly name: string;
  /** Heading on the page. */
  readonly title: string;
  /** What is measured and how, in sentences. */
  readonly about: string;
  /** The rows that are reported as not run if the suite cannot run at all. */
  readonly rowIds: readonly string[];
  /** Drawn beside the page, of the rows' medians. */
  readonly charts?: readonly SuiteChart[];
  readonly run: (options: SuiteOptions) => Promise<Row[]>;
}

/** Groups of bars on a logarithmic axis. */
export interface SuiteChart {
  /** Names the file; kebab case. */
  readonly name: string;
  readonly title: string;
  /** What the bars of each group are. */
  readonly names: readonly string[];
  /** A row for each of `names`. */
  readonly groups: readonly { readonly label: string; readonly rowIds: readonly string[] }[];
}

/** A suite's result as it stands in the JSON. */
export interface SuiteResult {
  readonly name: string;
  readonly tookMs: number;
  readonly rows: readonly Row[];
}
