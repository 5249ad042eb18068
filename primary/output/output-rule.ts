import type { Epoch } from '../../shared/ids.ts';
import type { IsSure } from '../parts.ts';
import type { PauseListener } from './readable-guest.ts';

/**
 * When what the guest said leaves the host. `HeldOutput` is the rule `commit` (and, with another
 * mode, `unsafe`); `InputLogRule` is `input-log`.
 */
export interface OutputRule extends PauseListener {
  /** The guest said `frame`, a view. */
  frame(card: number, frame: Uint8Array): void;
  hold(): void;
  barrier(epoch: Epoch): void;
  acknowledged(epoch: Epoch, isSure?: IsSure): void;
  sessionEnded(): void;
  releaseAll(): void;
  drop(): void;
}
