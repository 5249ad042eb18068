/**
 * What the two sides speak above frames, as numbers that rise with each change that one of them
 * has to know of. A release speaks its own and the one before it, so that hosts can be updated one
 * after the other. Imports nothing.
 *
 *   1  HELLO without a range; the term of a control message is that of HELLO
 *   2  HELLO with a range; every message of a session carries the session's highest term, and one
 *      with a lower term is refused
 */
export interface ProtocolRange {
  readonly min: number;
  readonly max: number;
}

export const ownProtocols: ProtocolRange = { min: 1, max: 2 };

/** From this protocol on both sides raise the term of a session's messages. */
export const risingTermsProtocol = 2;

/** The newest protocol that both speak; undefined where there is none. */
export function commonProtocol(theirs: ProtocolRange, ours = ownProtocols): number | undefined {
  const newest = Math.min(theirs.max, ours.max);
  return newest >= Math.max(theirs.min, ours.min) ? newest : undefined;
}

/** Why two sides have no protocol in common, and what to do: for REFUSE, and for errors. */
export function protocolMismatch(primary: ProtocolRange, backup: ProtocolRange) {
  const primaryIsOlder = primary.max < backup.min;
  const older = primaryIsOlder ? 'primary' : 'backup';
  const newer = shown(primaryIsOlder ? backup : primary);
  return {
    code: 'E_PROTOCOL_VERSION',
    message: `the primary speaks protocol ${shown(primary)}, the backup ${shown(backup)}`,
    hint:
      `Update Understudy on the ${older}'s host, to a release that speaks ${newer}: ` +
      'a release works with the one before it and the one after it.',
  };
}

const shown = ({ min, max }: ProtocolRange): string =>
  min === max ? `${min}` : `${min} to ${max}`;
