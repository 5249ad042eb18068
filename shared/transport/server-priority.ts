import { spawnSync } from 'node:child_process';

/** Below the heartbeats’ own threads, above all ordinary ones. */
const realtime = ['chrt', '--rr', '1'] as const;
const nice = ['nice', '-n', '-10'] as const;

/**
 * The command before a NATS server that shares its cores with the agents of a lab: it stands for
 * hosts of their own, and whoever carries the heartbeats comes first. Without the right to real
 * time, `nice`, which says so where it has no right either, and goes on.
 */
export function serverPriority(): readonly string[] {
  const [program, ...args] = realtime;
  const { status } = spawnSync(program, [...args, 'true'], { stdio: 'ignore' });
  return status === 0 ? realtime : nice;
}
