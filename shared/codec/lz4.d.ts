/** The part of the `lz4` addon that `general.ts` uses: single blocks, without a frame. */
declare module 'lz4' {
  const lz4: {
    /** Returns the bytes written, or 0 where they do not fit between `start` and `end`. */
    encodeBlock(input: Buffer, output: Buffer, start?: number, end?: number): number;
    /** Returns the bytes written, or a negative number for bytes that are no block. */
    decodeBlock(input: Buffer, output: Buffer): number;
  };
  export default lz4;
}
