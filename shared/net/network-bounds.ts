/**
 * Bounds of the guest's cable and uplink, with the relations between them checked when this file
 * is loaded. Sizes are bytes (`…Bytes`), times milliseconds (`…Ms`). Imports nothing.
 */

const kib = 1024;
const mib = 1024 * kib;

export const networkBounds = Object.freeze({
  /** Two addresses and a type: what is shorter is no Ethernet frame. */
  frameBytesMin: 14,
  /** What QEMU itself takes in one frame (its NET_BUFSIZE). */
  frameBytesMax: 68 * kib,

  /** Input that QEMU has not taken yet, as while the guest is paused; more is dropped. */
  cableInputBytesMax: 4 * mib,
  /**
   * Input that left this process and may not have reached the guest: a socket's buffer (Linux: 208
   * KiB by default) and what QEMU reads at once (two of its NET_BUFSIZE), with room to spare. More
   * than this behind a frame proves that QEMU has it.
   */
  inputInFlightBytesMax: 512 * kib,
  /** How long a takeover's replay of input may take, and how soon a full cable is tried again. */
  replayMsMax: 10_000,
  replayRetryMs: 1,
  /** Connections that a takeover has set back, and how long they have to come to where clients are. */
  rewoundConnectionsMax: 4096,
  rewoundMs: 600_000,
  /** What comes for a guest that is handed over: more is dropped. Tens of milliseconds of input. */
  handoverBytesMax: 4 * mib,
  handoverFramesMax: 8 * kib,
  /** How soon a lost or refused cable is tried again. */
  cableRetryMs: 10,
  /** How long the first connection may take before it counts as an error. */
  cableConnectMs: 10_000,

  /** Output held for acknowledgements: beyond it the cable is not read. */
  heldBytesMax: 64 * mib,
  heldFramesMax: 128 * kib,
  /** From this share of either bound an earlier checkpoint is asked for. */
  heldNearlyFullShare: 0.5,
  /** Reading goes on when what is held has fallen to this share of the bounds. */
  heldResumeShare: 0.75,
  /** What a held frame costs beside its bytes: a Buffer and its place in the queue. */
  heldFrameOverheadBytes: 192,
  /**
   * Read beyond the bounds while the guest is being stopped, because QEMU answers nobody while
   * its socket is full. QEMU sends at most 256 frames of a card between two looks at its monitor;
   * this is room for 8 cards and several looks.
   */
  heldReserveBytes: 16 * mib,

  /** Frames from the uplink that wait for the main thread; then the kernel's own queue drops. */
  uplinkBacklogBytesMax: 4 * mib,
  /** Frames handed from the reading thread to the main one at once. */
  uplinkBatchBytesMax: 256 * kib,
  /** How often a bridge is looked for. */
  bridgeCheckMs: 1000,
  /** How soon an uplink that is gone is made anew. */
  uplinkRetryMs: 500,
  /** How long passt may take to end with its socket. */
  passtStopMs: 2000,
  /** How long the reading thread, or passt, may take to start. */
  uplinkStartMs: 10_000,

  /** When the guest's address is announced, counted from the takeover, as QEMU itself does. */
  announceAtMs: Object.freeze([0, 50, 200, 450, 800]),
});

const b = networkBounds;
relation('a whole frame waits on its way in', b.cableInputBytesMax >= 4 * b.frameBytesMax);
relation('what was kept fits the cable at once', b.handoverBytesMax <= b.cableInputBytesMax);
relation(
  'a socket and QEMU hold no more',
  b.inputInFlightBytesMax >= 208 * kib + 2 * b.frameBytesMax,
);
relation('an uplink batch holds a frame', b.uplinkBatchBytesMax >= 2 * b.frameBytesMax);
relation('the backlog holds batches', b.uplinkBacklogBytesMax >= 4 * b.uplinkBatchBytesMax);
relation('a checkpoint is asked for before it is full', b.heldNearlyFullShare < b.heldResumeShare);
relation('reading goes on before it is empty', b.heldResumeShare < 1);
relation('the reserve holds what QEMU sends', b.heldReserveBytes >= 8 * 2 * 256 * 1514);

function relation(promise: string, holds: boolean): void {
  if (!holds) throw new Error(`network-bounds.ts: "${promise}" does not hold`);
}
