import type { TermClaims } from '../shared/arbiter/term-claims.ts';
import type { AlarmClock } from '../shared/clock.ts';
import type { DiskServer } from '../shared/disk/disk-server.ts';
import type { Epoch, GuestName } from '../shared/ids.ts';
import type { EmitEvent } from '../shared/observe/events.ts';
import type { Transport } from '../shared/transport/transport.ts';
import type { InputFrame } from '../shared/wire/input-body.ts';
import type { DiskOrigin } from './disk-origin.ts';
import type { InputLog } from './input/input-log.ts';
import type { LoggedMark } from './input/logged-mark.ts';
import type { ReplicaStore } from './store/replica-store.ts';
import type { WarmStandby } from './warm-standby.ts';

/** Everything outside of it that a backup agent works with. */
export interface BackupParts {
  readonly guestName: GuestName;
  readonly store: ReplicaStore;
  /** Where the guest has replicated disks. */
  readonly disks?: DiskServer | undefined;
  readonly origin?: DiskOrigin | undefined;
  readonly standby: WarmStandby;
  readonly transport: Transport;
  readonly clock: AlarmClock;
  readonly emit: EmitEvent;
  /** 16 hex digits, drawn when the process started. */
  readonly agentId: string;
  readonly settings: BackupSettings;
  readonly progress: BackupProgress;
  readonly peer: PeerWatch;
  readonly network: TakeoverNetwork;
  readonly claims: TermClaims;
  /** As terms call this host. */
  readonly host: string;
  /** What a takeover tells the guest again; without it nothing is logged. */
  readonly inputLog?: InputLog;
  readonly loggedMark?: LoggedMark;
}

export interface BackupSettings {
  readonly takeoverEnabled: boolean;
  readonly verifyAtTakeover: 'full' | 'recorded';
  /** The guest has cards whose output passes no agent: it goes on speaking where none runs. */
  readonly speaksAlone: boolean;
}

export interface BackupProgress {
  show(activity: 'standing-by' | 'synchronising' | 'protecting' | 'taking-over' | 'running'): void;
  acked(epoch: Epoch): void;
}

/** Signs of life of the primary. */
export interface PeerWatch {
  /** Expects them from now on, from this agent: silence from here on counts. */
  expect(agent: string): void;
  /** The same of whoever is the primary. */
  expectAnyone(): void;
  /** Something of it came by another way than its heartbeats. */
  heard(): void;
  /** Expects nothing any more. */
  rest(): void;
  /** Heard within the limit. */
  readonly alive: boolean;
  readonly lastHeardAtMs: number;
  onSilent(listener: () => void): () => void;
}

/** The guest's way to the world, silent while it stands by. */
export interface TakeoverNetwork {
  /**
   * The guest may run here, and nowhere else. Called before it does; it is told `replay` first.
   * `toldBefore`: it is set back to a checkpoint, before which it was told so many of these.
   */
  connect(replay: readonly InputFrame[], toldBefore?: number): void;
  /** Once it is connected: what still came for it to the host that it leaves. */
  tell(frames: readonly InputFrame[]): void;
}
