import type { MessagePort } from 'node:worker_threads';
import type { HashSettings } from '../../shared/codec/kernels.ts';

/** What a thread of the `scan` tracker starts with. What is shared is shared by all of them. */
export interface ScanTask {
  readonly ramPath: string;
  readonly memoryBytes: number;
  readonly hash: HashSettings;
  /** Two words a page: its digest at the pass before. */
  readonly known: SharedArrayBuffer;
  /** One bit a page: found changed by the running pass. */
  readonly changed: SharedArrayBuffer;
  /** Words as `control` names them. */
  readonly control: SharedArrayBuffer;
  /** Why a pass failed, in words, before `failed` says that one did. */
  readonly port: MessagePort;
}

export const control = {
  /** Counts passes: a thread waits for the next one. */
  pass: 0,
  /** The next region that no thread has taken. */
  nextRegion: 1,
  /** Grows with each region that is done. */
  progress: 2,
  /** Threads that found no more regions. */
  done: 3,
  failed: 4,
  words: 5,
} as const;

/** 16 MiB: whole words of the bitmap, so that no two threads write one of them. */
export const regionPages = 4096;
