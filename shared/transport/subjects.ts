import type { GuestName } from '../ids.ts';

/** The NATS subjects of one guest. Everything that Understudy says is under `understudy.`. */
export interface GuestSubjects {
  /** All others are below it. */
  readonly root: string;
  /** Data stream and its probes, primary → backup. */
  readonly data: string;
  /** Credit for the data stream, backup → primary. */
  readonly credit: string;
  /** Control messages and requests to the primary, to the backup. */
  readonly controlToPrimary: string;
  readonly controlToBackup: string;
  readonly heartbeatOfPrimary: string;
  readonly heartbeatOfBackup: string;
  /** What a watch sends to itself to know whether it can hear at all. */
  readonly echo: (watchId: string) => string;
  /** Answers to requests come below it. */
  readonly inbox: string;
}

export function subjectsOf(guest: GuestName): GuestSubjects {
  const root = `understudy.${guest}`;
  return {
    root,
    data: `${root}.data`,
    credit: `${root}.credit`,
    controlToPrimary: `${root}.control.primary`,
    controlToBackup: `${root}.control.backup`,
    heartbeatOfPrimary: `${root}.heartbeat.primary`,
    heartbeatOfBackup: `${root}.heartbeat.backup`,
    echo: (watchId) => `${root}.heartbeat.echo.${watchId}`,
    inbox: `${root}.inbox`,
  };
}
