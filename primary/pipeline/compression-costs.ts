import type { GeneralCodec } from '../../shared/codec/codec-settings.ts';

/** What compressing a byte costs, as bytes that the link could have carried meanwhile. */
export interface CompressionCosts {
  /** 16.16 fixed point, as the kernels take them. */
  readonly wkdm: number;
  readonly general: number;
}

/** 1 Gbit/s, as long as nothing was measured. */
export const linkDefault = 125e6;
/** Who names a codec for all epochs names it for his link: gzip, where it is a slow one. */
export const linkOf: Readonly<Record<GeneralCodec, number>> = {
  none: linkDefault,
  lz4: linkDefault,
  gzip: linkDefault / 10,
};
/** Bytes a second on one core, as `npm run bench` measures them on guest pages, rounded down. */
const wkdmSpeed = 2.0e9;
export const generalSpeed: Readonly<Record<GeneralCodec, number>> = {
  none: Number.POSITIVE_INFINITY,
  lz4: 0.8e9,
  gzip: 0.2e9,
};

/**
 * The price of time against the price of bytes: a method that halves the bytes is not worth it
 * where the link carries them faster than the method computes. Both in bytes a second.
 */
export function compressionCosts(general: number, link: number): CompressionCosts {
  const fixed = (speed: number): number => Math.round(Math.min(16, link / speed) * 65536);
  return { wkdm: fixed(wkdmSpeed), general: fixed(general) };
}
