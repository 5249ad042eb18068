import type { BackupParts } from '../../backup/parts.ts';
import type { PrimaryParts } from '../../primary/parts.ts';
import type { Host } from './host.ts';

export type Side = 'primary' | 'backup';

/** What the agents of a run are made of: by a seeded fault, of something that breaks the rules. */
export interface Parts {
  primary(parts: PrimaryParts, host: Host): PrimaryParts;
  backup(parts: BackupParts, host: Host): BackupParts;
}

export const realParts: Parts = { primary: (parts) => parts, backup: (parts) => parts };
