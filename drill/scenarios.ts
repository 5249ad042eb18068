import type { Lab } from './lab.ts';
import { killBackup } from './scenarios/kill-backup.ts';
import { killHost } from './scenarios/kill-host.ts';
import type { DrillContext, Findings } from './steps.ts';

export interface Scenario {
  /** One line for `--help`. */
  readonly summary: string;
  readonly run: (lab: Lab, context: DrillContext) => Promise<Findings>;
}

export const scenarios: Readonly<Record<string, Scenario>> = {
  'kill-host': { summary: "kill the primary's host, go on on the backup", run: killHost },
  'kill-backup': {
    summary: 'kill the backup, bring it back, then kill the host',
    run: killBackup,
  },
};

export const defaultScenario = 'kill-host';
