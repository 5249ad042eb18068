/**
 * Every bound of what the two sides say to each other: queues, windows, frames, retries and
 * timeouts, in one place, with the relations between them checked when this file is loaded.
 * Sizes are bytes (`…Bytes`), times milliseconds (`…Ms`). Imports nothing.
 */

const kib = 1024;
const mib = 1024 * kib;

export const bounds = Object.freeze({
  // Frames.
  /** Size of a frame's header; `wire/frame.ts` draws it. */
  frameHeaderBytes: 72,
  /** Largest piece of page data in one CHUNK. Larger payloads gain nothing on NATS. */
  chunkBytesMax: 1 * mib,
  /** What a body may have around its chunk (a part's own header, a digest list's range). */
  bodySlackBytes: 4 * kib,
  /** Largest JSON body of a control message. */
  jsonBytesMax: 64 * kib,
  /** Largest text in a control message (a reason, a hint, a machine type), in UTF-16 units. */
  textLengthMax: 2000,
  /** Most digests in one answer: 64 Ki of them are 512 KiB. */
  digestsMax: 64 * kib,
  /** Largest device state and largest baseline that a backup puts together from parts. */
  deviceBytesMax: 64 * mib,
  baselineBytesMax: 256 * mib,

  // What a NATS server must allow.
  payloadBytesMin: 128 * kib,
  /** Never more, whatever the server allows. */
  payloadBytesMax: 8 * mib,

  // Flow control and repair of the data stream.
  /** Bytes that the sender may have sent and the receiver not yet consumed. */
  windowBytes: 16 * mib,
  windowBytesMin: 4 * mib,
  windowBytesMax: 32 * mib,
  /** The same window in frames, so that tiny frames cannot grow the books without bound. */
  windowFramesMax: 4096,
  /** The receiver grants credit when it has consumed this share of the window … */
  creditShare: 4,
  /** … or when this long passed since it consumed something that it has not reported. */
  creditDelayMs: 2,
  /** Callers that may wait for room in the window at once. */
  sendWaitersMax: 256,
  /** Without a word from the receiver for so long, the sender asks what it expects next. */
  probeAfterMs: 200,
  /** A gap is reported again when nothing arrived for so long. */
  repairAfterMs: 200,
  /** Repairs, or reports of one gap, without a single new frame in order: the stream is broken. */
  repairsMax: 25,
  /** Nothing consumed for so long while frames wait: the stream is stalled. */
  streamStallMs: 5000,
  /** How often a stream with something outstanding looks at the clock. */
  streamTickMs: 20,

  // Capture.
  /** Live rounds before one pause: each takes off a good part of what the last one left. */
  liveRoundsMax: 8,

  // Encoding.
  /** Threads that encode, each with a part of the hash index and of the kept pages; that digest RAM. */
  encoderThreadsMax: 8,
  /** Chunks of one thread that are made and not sent: it goes on while others are on their way. */
  encoderChunksMax: 3,
  /** How often a thread that owes an answer or a chunk is looked at … */
  encoderLookMs: 1000,
  /** … and for how many looks it may say nothing: one takes milliseconds, on a choked host seconds. */
  encoderSilentLooksMax: 30,

  // Takeover.
  /** Standbys that are tried, one after the other, before the backup gives up. */
  takeoverAttemptsMax: 5,
  /**
   * A guest that was just resumed finds every cache cold, and its clients wait: what comes next for
   * protection (threads, connections, kernels) takes no core from it for so long. After a switchover
   * on the host that it left, too: its QEMU's end and a standby's start.
   */
  calmAfterTakeoverMs: 200,

  // Planned switchover.
  /** How long a backup may take to verify its RAM before it says that it is ready. */
  switchoverReadyMs: 60_000,
  /** From the pause of the guest: after so long the primary tries to go on itself. */
  handoverMs: 3000,
  /** So long after it has asked the backup to go on, and again, it reads the record: did it? */
  handoverLookMs: 250,

  // Acknowledgements.
  /** A backup says its newest one again after so long. */
  ackRepeatMs: 200,

  // Input log.
  /** Frames in one message, with what each takes beside its bytes: fits the least payload. */
  inputBatchBytesMax: 96 * kib,
  /** Input that nobody said is logged is sent again after so long. */
  inputRepeatMs: 200,

  // NATS client.
  reconnectWaitMsMin: 50,
  reconnectWaitMsMax: 250,
  pingIntervalMs: 1000,
  pingsOutMax: 2,
  /** One attempt to connect, handshake included. */
  connectAttemptMs: 2000,
  /** How long the first connection is tried before `E_NATS_UNREACHABLE`. */
  connectDeadlineMs: 10_000,
  /**
   * A warning is repeated at this interval while the first connection is awaited for ever; later,
   * a connection that stays away for so long is looked into.
   */
  connectWarningMs: 5000,
  /** An own certificate that ends sooner is warned of. */
  certificateWarningDays: 14,
  /** How long one request waits for its answer, unless told otherwise. */
  requestMs: 2000,
  /** Payloads up to this size are copied; larger ones are handed over at once. */
  publishCopyBytesMax: 64 * kib,

  // Embedded NATS server.
  serverPayloadBytesMax: 2 * mib,
  serverPendingBytesMax: 128 * mib,
  serverWriteDeadlineMs: 3000,
  serverReadyMs: 30_000,
  serverStopMs: 5000,
  /** Lines of the server's log that an error about its end quotes. */
  serverLogLinesMax: 20,

  // Heartbeats.
  heartbeatIntervalMs: 50,
  silenceLimitMs: 200,
  /** The peer's counters have not moved for so long although its state says they should. */
  wedgedLimitMs: 5000,
  /** How often the watch looks at the clock. */
  watchTickMs: 10,
  /** How long a heartbeat worker may take to start and connect. */
  heartbeatStartMs: 15_000,

  // Arbiter.
  /** One question to the arbiter; asking again does no harm, so it may be short. */
  arbiterAnswerMs: 250,
  /** Questions before `E_ARBITER_AWAY`: with the waits, about 3 s where nothing answers. */
  arbiterAttemptsMax: 6,
  arbiterRetryWaitMs: 50,
  /** Between two looks of an agent that starts, for an arbiter that does not answer yet. */
  arbiterStartWaitMs: 250,
  /** Largest record of a term, as it is stored. */
  termRecordBytesMax: 2 * kib,

  // The agent's socket for its operator.
  controlRequestBytesMax: 4 * kib,
  controlAnswerBytesMax: 64 * kib,
  controlConnectionsMax: 16,
  /** A connection on which nothing moves for so long is closed. */
  controlIdleMs: 30_000,
  /** A command that takes longer is answered as pending; it goes on. */
  commandMs: 10_000,
  /** How long an operator's command waits for the agent. */
  controlAnswerMs: 15_000,
  /** How long a look at the record of terms may take before the answer goes without it. */
  recordLookMs: 1000,
});

/** Largest body of any frame. */
export const bodyBytesMax = bounds.chunkBytesMax + bounds.bodySlackBytes;
/** Largest frame: header and body. */
export const frameBytesMax = bounds.frameHeaderBytes + bodyBytesMax;

/**
 * The chunk size for a server that takes payloads of `payloadBytesMax`: 1 MiB where a frame of
 * it fits, else 512 KiB, else what fits in whole 4 KiB steps.
 */
export function chunkBytesFor(payloadBytesMax: number): number {
  const room = payloadBytesMax - bounds.frameHeaderBytes - bounds.bodySlackBytes;
  if (room >= bounds.chunkBytesMax) return bounds.chunkBytesMax;
  if (room >= 512 * kib) return 512 * kib;
  return Math.max(0, Math.floor(room / 4096) * 4096);
}

const b = bounds;
relation('a largest frame fits the payload bound', frameBytesMax <= b.payloadBytesMax);
relation('a largest frame fits our own server', frameBytesMax <= b.serverPayloadBytesMax);
relation('the least payload leaves room for a chunk', chunkBytesFor(b.payloadBytesMin) >= 64 * kib);
relation('a list of digests fits a body', b.digestsMax * 8 + b.bodySlackBytes <= bodyBytesMax);
relation('JSON fits the least payload', b.jsonBytesMax + b.frameHeaderBytes <= b.payloadBytesMin);
relation(
  'a batch of input fits the least payload',
  b.inputBatchBytesMax + b.bodySlackBytes + b.frameHeaderBytes <= b.payloadBytesMin,
);
relation('the least window holds several frames', b.windowBytesMin >= 3 * frameBytesMax);
relation('the window is not below its bound', b.windowBytes >= b.windowBytesMin);
relation('a credit step holds a frame', b.windowBytes / b.creditShare >= frameBytesMax);
relation('the window is not above its bound', b.windowBytes <= b.windowBytesMax);
relation('the server queues 4 windows', b.serverPendingBytesMax >= 4 * b.windowBytesMax);
relation(
  'a client is cut off after a stall is noticed or probed',
  b.probeAfterMs < b.streamStallMs,
);
relation('repairs end before a person gives up', b.repairsMax * b.repairAfterMs <= 30_000);
relation('silence is several heartbeats', b.silenceLimitMs >= 3 * b.heartbeatIntervalMs);
relation('the watch looks often enough', b.watchTickMs * 4 <= b.heartbeatIntervalMs);
relation('wedged is later than silent', b.wedgedLimitMs > b.silenceLimitMs);
relation('a pending command is answered', b.commandMs < b.controlAnswerMs);
relation('a pending command is not idle', b.commandMs < b.controlIdleMs);
relation('a look at the record is no pending command', b.recordLookMs < b.commandMs);
relation('a lost answer does not cost the handover', b.handoverLookMs * 4 < b.handoverMs);
relation('reconnect waits are in order', b.reconnectWaitMsMin <= b.reconnectWaitMsMax);

function relation(promise: string, holds: boolean): void {
  if (!holds) throw new Error(`bounds.ts: "${promise}" does not hold`);
}
