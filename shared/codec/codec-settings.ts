/** What both sides must agree on to identify, encode and decode pages. Fixed for a session. */
export interface CodecSettings {
  /** Pages of guest RAM. */
  readonly pageCount: number;
  readonly blockBytes: BlockBytes;
  readonly hash: BlockHash;
  /** 192 bytes, drawn per session: nobody can prepare colliding blocks ahead. */
  readonly secret: Uint8Array;
}

export type BlockBytes = 64 | 128 | 256;
export type BlockHash = 'xxh3' | 'xxh64';
export type GeneralCodec = 'lz4' | 'gzip' | 'none';

export const blockBytesChoices: readonly BlockBytes[] = [64, 128, 256];
export const secretBytes = 192;

export function sameSettings(a: CodecSettings, b: CodecSettings): boolean {
  const sizes = a.pageCount === b.pageCount && a.blockBytes === b.blockBytes;
  return sizes && a.hash === b.hash && a.secret.every((byte, i) => byte === b.secret[i]);
}
