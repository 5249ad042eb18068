/** What the heartbeat workers are told and tell: plain data that can cross threads. */
import type { ErrorFields, UnderstudyError } from '../errors.ts';
import type { NatsSettings } from '../transport/nats-transport.ts';
import type { DetectorLimits } from './detector.ts';
import type { WatchEvent } from './watch.ts';

export type RoleTask =
  | {
      readonly role: 'beacon';
      readonly subject: string;
      readonly agent: bigint;
      readonly progress: SharedArrayBuffer;
      readonly intervalMs: number;
    }
  | {
      readonly role: 'watch';
      readonly subject: string;
      readonly echoSubject: string;
      readonly limits: DetectorLimits;
    };

/** What the worker is started with: its connection, which it keeps from task to task. */
export interface WorkerStart {
  readonly nats: NatsSettings;
  readonly guest: bigint;
  readonly connectDeadlineMs: number | null;
}

export type ToWorker =
  /** One task at a time. */
  | { readonly kind: 'begin'; readonly task: RoleTask }
  | { readonly kind: 'end' }
  | { readonly kind: 'stop' }
  | { readonly kind: 'follow'; readonly agent: bigint | undefined }
  | { readonly kind: 'heard' };

export type FromWorker =
  /** It does what it was told to begin. */
  | { readonly kind: 'ready' }
  /** Nothing comes of the task any more. */
  | { readonly kind: 'idle' }
  | { readonly kind: 'event'; readonly event: WatchEvent }
  | { readonly kind: 'warning' | 'failed'; readonly error: PlainError };

/** An expected failure as it crosses threads: a class does not survive that. */
export interface PlainError {
  readonly code: string;
  readonly message: string;
  readonly hint: string;
  readonly fields: ErrorFields;
}

export const plainError = ({ code, message, hint, fields }: UnderstudyError): PlainError => {
  return { code, message, hint, fields };
};
