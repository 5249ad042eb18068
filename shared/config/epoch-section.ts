import { bounds } from '../bounds.ts';
import { group, integer, optional, size } from './field.ts';

const kib = 2 ** 10;
const mib = 2 ** 20;
const gib = 2 ** 30;

export const epoch = group('How often the guest is checkpointed.', {
  intervalMs: integer({
    what: 'Time from one checkpoint to the next, of a guest that is busy with itself.',
    why: 'Shorter loses less and delays output less; longer sends less and slows the guest less.',
    min: 10,
    max: 60_000,
    fallback: 100,
  }),
  shortestMs: optional(
    integer({
      what:
        'The same where output waits for the checkpoint; null: a quarter of intervalMs where all ' +
        'networks are cables by the rule commit. Never shorter than ten pauses.',
      why: 'Set it to intervalMs where throughput counts for more than latency.',
      min: 10,
      max: 60_000,
    }),
  ),
  longestMs: optional(
    integer({
      what:
        'The same of a guest that writes next to nothing; null: five times intervalMs where all ' +
        'networks are cables by the rule commit, else intervalMs.',
      why: 'Raise it for guests that mostly sleep; set it to intervalMs for an even beat.',
      min: 10,
      max: 60_000,
    }),
  ),
  liveRounds: optional(
    integer({
      what:
        'Rounds before each pause in which written pages are captured while the guest still ' +
        'runs, so that the pause finds few. 0: none; null: as many as pay, by measured write ' +
        'rate and speed.',
      why: 'Set it to 0 where every page costs more than a longer pause, or to compare.',
      min: 0,
      max: bounds.liveRoundsMax,
    }),
  ),
  captureBuffer: optional(
    size({
      what:
        'Memory for the pages of one epoch, copied out of the guest; null: a sixteenth of the ' +
        'guest, at least 8MiB and at most 128MiB. A larger epoch lengthens the pause.',
      why: 'Raise it for a guest that writes more than this in one epoch.',
      min: 4 * mib,
      max: 64 * gib,
      multipleOf: 4 * kib,
    }),
  ),
});
