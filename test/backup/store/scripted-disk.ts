import { EpochDigest } from '../../../shared/codec/digest.ts';
import type { Random } from '../../../shared/random.ts';
import { changeHeadBytes, type DiskSeal, writeChangeHead } from '../../../shared/wire/disk-body.ts';

/** What a made-up primary changes of the guest's disk in one epoch. */
export interface ScriptedDisk {
  /** Of DISK frames, in order. */
  readonly bodies: readonly Uint8Array[];
  readonly seal: DiskSeal;
  /** The disk after the epoch. */
  readonly image: Uint8Array;
}

/** No whole number of pages, as disks may be. */
export const scriptedDiskBytes = 64 * 4096 + 512;

/**
 * Draws changes, overlapping ones too, of less than `lengthMax` bytes each, makes them in `image`, and
 * tells them as a primary would.
 */
export function changeDisk(
  random: Random,
  image: Uint8Array,
  count: number,
  lengthMax = 9001,
): ScriptedDisk {
  const bodies: Uint8Array[] = [];
  const digest = new EpochDigest();
  let bytes = 0;
  for (let done = 0; done < count; ) {
    const inBody = Math.min(count - done, 1 + random.below(3));
    const parts = Array.from({ length: inBody }, () => drawChange(random, image, lengthMax));
    const body = Buffer.concat(parts);
    bodies.push(body);
    digest.update(body);
    bytes += body.length;
    done += inBody;
  }
  const seal: DiskSeal = {
    ...{ kind: 'disk-seal', bytes, frameCount: bodies.length, digest: digest.value() },
  };
  return { bodies, seal, image: image.slice() };
}

function drawChange(random: Random, image: Uint8Array, lengthMax: number): Uint8Array {
  const length = 1 + random.below(lengthMax - 1);
  const offset = random.below(image.length - length);
  const change = { disk: 0, offset, length };
  const hasData = random.below(4) > 0;
  const bytes = new Uint8Array(changeHeadBytes + (hasData ? length : 0));
  writeChangeHead(new DataView(bytes.buffer), 0, change, hasData);
  for (let at = changeHeadBytes; at < bytes.length; at++) bytes[at] = random.below(256);
  if (hasData) image.set(bytes.subarray(changeHeadBytes), offset);
  else image.fill(0, offset, offset + length);
  return bytes;
}

/** Each length that is too short, and each byte with another one of its bits changed. */
export function* damagesOf(whole: Buffer): Generator<[what: string, damaged: Buffer]> {
  for (let at = 0; at < whole.length; at++) {
    yield [`cut off at ${at}`, whole.subarray(0, at)];
    const damaged = Buffer.from(whole);
    damaged[at]! ^= 1 << (at & 7);
    yield [`byte ${at} is ${damaged[at]}`, damaged];
  }
}
