import { choice, integer } from './field.ts';

export const everyEpochs = integer({
  what: 'Every how many epochs both sides digest the whole RAM and compare; 0: never.',
  why: 'Set it to 100, say, to have every divergence found; each digest costs a core a while.',
  min: 0,
  max: 1_000_000,
  fallback: 0,
});

export const atTakeover = choice(['full', 'recorded'], {
  what:
    'What is checked before the guest runs on: `full` digests its whole RAM anew, ' +
    '`recorded` trusts the digests that were kept as epochs were applied.',
  why: '`recorded` makes a takeover faster: a full digest reads all RAM.',
  fallback: 'full',
});

export const disksEveryMinutes = integer({
  what: 'Every how many minutes the replicated disks of both sides are compared; 0: never.',
  why: 'Set it to 1440, say: a disk that fails silently is found, and mended on the backup.',
  min: 0,
  max: 100_000,
  fallback: 0,
});
