import type { DigestSettings } from '../../shared/disk/disk-control.ts';
import type { DiskServer } from '../../shared/disk/disk-server.ts';
import type { StreamSender } from '../../shared/transport/stream-sender.ts';
import { ChangeStream } from './change-stream.ts';

/** The guest's replicated disks. */
export interface PrimaryDisks {
  readonly server: DiskServer;
  /** Largest body of a frame of changes. */
  readonly frameBytes: number;
  /** Bound of what bringing them level sends in a second; null: none. */
  readonly bytesPerSecond: number | null;
}

/** The same, as one session of protection has them. */
export interface SessionDisks extends PrimaryDisks {
  readonly stream: ChangeStream;
  readonly settings: DigestSettings;
}

/** Changes are logged from now on, and sent by `sender`. */
export function openDisks(
  disks: PrimaryDisks | undefined,
  sender: StreamSender,
  { hash, blockBytes }: Pick<DigestSettings, 'hash' | 'blockBytes'>,
  secret: Uint8Array,
): SessionDisks | undefined {
  if (disks === undefined) return undefined;
  const stream = new ChangeStream(disks.server, sender, disks.frameBytes);
  return { ...disks, stream, settings: { hash, blockBytes, secret } };
}
