import type { DiskServer } from '../disk/disk-server.ts';
import type { HeartbeatThreads } from '../heartbeat/heartbeat-threads.ts';
import type { AgentConsole } from './agent-console.ts';

/** What a process keeps while its role changes. */
export interface LastingParts {
  /** Its operator is heard in every role. */
  readonly console: AgentConsole;
  readonly heartbeats: HeartbeatThreads;
  /** Where the guest has replicated disks. */
  readonly disks: DiskServer | undefined;
}
