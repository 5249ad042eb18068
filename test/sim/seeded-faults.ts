import type { BackupParts } from '../../backup/parts.ts';
import type { GuestOutput, PrimaryParts } from '../../primary/parts.ts';
import type { Claim, ClaimOutcome, TermClaims } from '../../shared/arbiter/term-claims.ts';
import { isUnderstudyError } from '../../shared/errors.ts';
import { type Epoch, sessionId, term } from '../../shared/ids.ts';
import { PageSet } from '../../shared/page-set.ts';
import { ControlChannel } from '../../shared/transport/control-channel.ts';
import { subjectsOf } from '../../shared/transport/subjects.ts';
import { decodeFrame, type Frame, hex64 } from '../../shared/wire/frame.ts';
import { type Parts, realParts } from './parts.ts';

/**
 * Faults of the protocol, each in a part that agents are made of: the simulator must find each of
 * them, or its silence about the real parts says nothing.
 */
export const seededFaults: Readonly<Record<string, Parts>> = {
  'output leaves at the capture of its epoch': withOutput((output) => ({
    barrier: (epoch) => {
      output.barrier(epoch);
      output.acknowledged(epoch);
    },
  })),

  'output is held only once the protected term is won': withOutput((output) => ({
    hold: () => {},
    acknowledged: (epoch) => {
      output.hold();
      output.acknowledged(epoch);
    },
  })),

  'a copy that was passed by sends what it held': withOutput((output) => ({
    drop: () => {
      output.releaseAll();
      output.drop();
    },
  })),

  'a backup resumes without a term': {
    ...realParts,
    backup: (parts) => withClaims(parts, async () => ({ won: true, term: term(1), mode: 'solo' })),
  },

  'a backup claims after an unprotected term': {
    ...realParts,
    backup: (parts, host) =>
      withClaims(parts, (claim, ask) =>
        ask({ ...claim, mayFollow: (latest) => latest?.holder !== host.hostId }),
      ),
  },

  'a backup acknowledges while it takes over': { ...realParts, backup: acknowledgesToTheEnd },

  'a backup never takes over': {
    ...realParts,
    backup: (parts) => ({ ...parts, settings: { ...parts.settings, takeoverEnabled: false } }),
  },

  'a tracker misses a page now and then': {
    ...realParts,
    primary: (parts, { random }) => ({
      ...parts,
      tracker: {
        kind: 'synthetic',
        arm: () => parts.tracker.arm(),
        collect: (into) => {
          const found = new PageSet(parts.guest.memory.pageCount);
          parts.tracker.collect(found);
          if (random.unit() < 0.05) found.delete(random.below(parts.guest.memory.pageCount));
          into.addAll(found);
        },
        close: () => parts.tracker.close(),
      },
    }),
  },
};

function withOutput(change: (output: GuestOutput) => Partial<GuestOutput>): Parts {
  return {
    ...realParts,
    primary: (parts) => {
      const { output } = parts;
      const same: GuestOutput = {
        hold: () => output.hold(),
        barrier: (epoch: Epoch) => output.barrier(epoch),
        acknowledged: (epoch: Epoch) => output.acknowledged(epoch),
        sessionEnded: () => output.sessionEnded(),
        releaseAll: () => output.releaseAll(),
        drop: () => output.drop(),
      };
      return { ...parts, output: { ...same, ...change(output) } };
    },
  };
}

type Ask = (claim: Claim) => Promise<ClaimOutcome>;

function withClaims<P extends PrimaryParts | BackupParts>(
  parts: P,
  change: (claim: Claim, ask: Ask) => Promise<ClaimOutcome>,
): P {
  const { claims } = parts;
  const changed: Pick<TermClaims, 'claim' | 'latest'> = {
    claim: (claim, signal) => change(claim, (asked) => claims.claim(asked, signal)),
    latest: (signal) => claims.latest(signal),
  };
  return { ...parts, claims: changed as TermClaims };
}

/** What arrives after it has stopped to receive is not applied, but acknowledged all the same. */
function acknowledgesToTheEnd(parts: BackupParts): BackupParts {
  const { transport, guestName, peer } = parts;
  const control = new ControlChannel(transport, guestName, 'backup');
  let takesOver = false;
  peer.onSilent(() => {
    takesOver = true;
  });
  transport.subscribe(subjectsOf(guestName).data, (bytes) => {
    const frame = takesOver ? readable(bytes) : undefined;
    if (frame?.kind !== 'commit') return;
    const about = { session: sessionId(hex64(frame.session)), term: frame.term };
    control.send(about, { kind: 'ack', epoch: frame.epoch });
  });
  return parts;
}

/** The weather damages frames. */
function readable(bytes: Uint8Array): Frame | undefined {
  try {
    return decodeFrame(bytes);
  } catch (error) {
    if (isUnderstudyError(error, 'E_FRAME_CORRUPT')) return undefined;
    throw error;
  }
}
