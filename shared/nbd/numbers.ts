/**
 * Numbers of the NBD protocol, by its specification (github.com/NetworkBlockDevice/nbd,
 * doc/proto.md). All fields are big-endian. Imports nothing.
 */

export const magic = {
  /** "NBDMAGIC" */
  greeting: 0x4e42444d41474943n,
  /** "IHAVEOPT" */
  option: 0x49484156454f5054n,
  optionReply: 0x0003e889045565a9n,
  request: 0x25609513,
  simpleReply: 0x67446698,
  structuredReply: 0x668e33ef,
} as const;

export const handshakeFlag = { fixedNewstyle: 1, noZeroes: 2 } as const;

export const option = {
  exportName: 1,
  abort: 2,
  list: 3,
  info: 6,
  go: 7,
  structuredReply: 8,
  listMetaContext: 9,
  setMetaContext: 10,
} as const;

const error = 2 ** 31;
export const optionReply = {
  ack: 1,
  server: 2,
  info: 3,
  metaContext: 4,
  errUnsupported: error + 1,
  errInvalid: error + 3,
  errUnknown: error + 6,
  errTooBig: error + 9,
} as const;

export const info = { export: 0, name: 1, blockSize: 3 } as const;

export const exportFlag = {
  hasFlags: 1,
  readOnly: 2,
  sendFlush: 4,
  sendFua: 8,
  sendTrim: 32,
  sendWriteZeroes: 64,
  canMultiConn: 256,
} as const;

export const command = {
  read: 0,
  write: 1,
  disconnect: 2,
  flush: 3,
  trim: 4,
  cache: 5,
  writeZeroes: 6,
  blockStatus: 7,
} as const;

export const commandFlag = { fua: 1, noHole: 2, dontFragment: 4, reqOne: 8 } as const;

export const chunkFlagDone = 1;
export const chunkType = { none: 0, offsetData: 1, blockStatus: 5, error: 2 ** 15 + 1 } as const;

/** Of base:allocation. */
export const stateFlag = { hole: 1, zero: 2 } as const;

/** What an error is on the wire, by the system's name for it. */
export const errorNumbers: Readonly<Record<string, number>> = {
  EPERM: 1,
  EIO: 5,
  ENOMEM: 12,
  EACCES: 1,
  EROFS: 1,
  EINVAL: 22,
  EDQUOT: 28,
  EFBIG: 28,
  ENOSPC: 28,
  EOVERFLOW: 75,
  ENOTSUP: 95,
  EOPNOTSUPP: 95,
  ESHUTDOWN: 108,
};

export const requestBytes = 28;
/** Largest READ and WRITE that is served, which is also what clients assume unless told. */
export const payloadBytesMax = 32 * 2 ** 20;
/** Largest option that is looked at: a name has at most 4096 bytes. */
export const optionBytesMax = 16 * 1024;
export const preferredBlockBytes = 4096;
