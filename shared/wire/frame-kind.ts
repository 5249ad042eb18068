/**
 * The kinds of frames and their codes on the wire. A code is never used for anything else, also
 * not after its kind is gone. Imports nothing.
 *
 *   1–15   data stream, primary → backup, sequenced
 *   16–31  flow control of that stream
 *   32–63  control, either direction, one frame a message
 *   64     heartbeat
 */
export const frameKindCodes = {
  begin: 1,
  chunk: 2,
  baseline: 3,
  device: 4,
  commit: 5,
  abort: 6,
  disk: 7,
  'disk-seal': 8,

  credit: 16,
  probe: 17,

  hello: 32,
  welcome: 33,
  refuse: 34,
  ack: 35,
  resync: 36,
  'stand-down': 37,
  'region-digests-request': 38,
  'region-digests': 39,
  'page-digests-request': 40,
  'page-digests': 41,
  'verify-request': 42,
  verify: 43,
  'input-log': 44,
  'input-logged': 45,
  'switchover-request': 46,
  'switchover-ready': 47,
  'hand-over': 48,
  'handed-over': 49,
  'disk-digests-request': 50,
  'disk-digests': 51,
  'disk-changes-request': 52,
  'disk-changes': 53,

  heartbeat: 64,
} as const;

export type FrameKind = keyof typeof frameKindCodes;
export type StreamKind =
  | 'begin'
  | 'chunk'
  | 'baseline'
  | 'device'
  | 'commit'
  | 'abort'
  | 'disk'
  | 'disk-seal';

const byCode = new Map<number, FrameKind>(
  Object.entries(frameKindCodes).map(([kind, code]) => [code, kind as FrameKind]),
);

export const frameKindOf = (code: number): FrameKind | undefined => byCode.get(code);

/** True for the kinds that travel in the sequenced data stream. */
export const isStreamKind = (kind: FrameKind): kind is StreamKind => frameKindCodes[kind] < 16;
