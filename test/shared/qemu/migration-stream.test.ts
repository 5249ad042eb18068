import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import test from 'ava';
import fc from 'fast-check';
import { isUnderstudyError } from '../../../shared/errors.ts';
import {
  checkDeviceState,
  parseBaseline,
  spliceStream,
} from '../../../shared/qemu/migration-stream.ts';

/** Recorded from QEMU 7.2.22 (TCG, pc-i440fx-7.2, virtio disk and card, a UUID). */
const fixture = (name: string): Uint8Array => {
  const url = new URL(`../../../../test/shared/qemu/fixtures/${name}.gz`, import.meta.url);
  return new Uint8Array(gunzipSync(readFileSync(url)));
};
const baseline = fixture('qemu-7.2-baseline');
const devices = fixture('qemu-7.2-devices');
const { devicesAt } = parseBaseline(baseline);

const be32 = (...values: number[]): number[] =>
  values.flatMap((v) => [v >>> 24, (v >>> 16) & 0xff, (v >>> 8) & 0xff, v & 0xff]);
const text = (value: string): number[] => [value.length, ...Buffer.from(value)];
const header = be32(0x5145564d, 3);

test('the cut of a recorded baseline is its first device; blocks outside the file are named', (t) => {
  const { blocks } = parseBaseline(baseline);
  const names = blocks.map((block) => block.name);
  t.true(names.includes('pc.bios'));
  t.true(names.includes('/rom@etc/acpi/tables'));
  t.is(blocks.find((block) => block.name === 'ram')?.bytes, 32 * 2 ** 20);
  t.is(baseline[devicesAt], 4);
  const nameLength = baseline[devicesAt + 5]!;
  const first = baseline.subarray(devicesAt + 6, devicesAt + 6 + nameLength);
  t.is(Buffer.from(first).toString(), 'timer');
  t.is(baseline[devicesAt - 5], 0x7e, 'a section footer stands before the cut');
});

test('a spliced stream is the baseline up to the cut, the devices, and an empty description', (t) => {
  const stream = spliceStream(baseline, devices);
  t.deepEqual(stream.subarray(0, devicesAt), baseline.subarray(0, devicesAt));
  t.deepEqual(stream.subarray(devicesAt, -5), devices.subarray(8));
  t.deepEqual([...stream.subarray(-6)], [0, 6, 0, 0, 0, 0]);
  t.deepEqual(parseBaseline(stream), parseBaseline(baseline), 'it is a whole stream itself');
});

test('a baseline that ends anywhere too early is E_BASELINE_CORRUPT with the offset', (t) => {
  const points = new Set<number>();
  for (let cut = 0; cut < 2000; cut++) points.add(cut);
  for (let cut = 0; cut < 64; cut++)
    points.add(devicesAt - 32 + cut).add(baseline.length - 1 - cut);
  for (let cut = 2000; cut < baseline.length; cut += 997) points.add(cut);
  for (const cut of points) {
    const error = t.throws(() => parseBaseline(baseline.slice(0, cut)));
    if (!isUnderstudyError(error, 'E_BASELINE_CORRUPT')) t.fail(`cut at ${cut}: ${error}`);
    else if (Number(error.fields.offset) > cut) t.fail(`cut at ${cut}: offset ${error.message}`);
  }
});

test('a device state that ends anywhere too early is E_DEVICE_STATE_CORRUPT', (t) => {
  t.notThrows(() => checkDeviceState(devices));
  let accepted = 0;
  for (let cut = 0; cut < devices.length; cut++) {
    try {
      checkDeviceState(devices.subarray(0, cut));
      accepted += 1;
    } catch (error) {
      if (!isUnderstudyError(error, 'E_DEVICE_STATE_CORRUPT')) throw error;
    }
  }
  t.is(accepted, 0);
});

test('flipped and random bytes give a typed error or a cut inside the stream, and an end', (t) => {
  const flip = fc.record({ at: fc.nat(3000), bit: fc.nat(7) });
  fc.assert(
    fc.property(fc.array(flip, { minLength: 1, maxLength: 4 }), (flips) => {
      const bytes = baseline.slice();
      for (const { at, bit } of flips) bytes[at] = bytes[at]! ^ (1 << bit);
      return survives(bytes);
    }),
    { numRuns: 300 },
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), (tail) =>
      survives(Uint8Array.of(...header, ...tail)),
    ),
    { numRuns: 500 },
  );
  t.pass();
});

function survives(bytes: Uint8Array): boolean {
  try {
    const found = parseBaseline(bytes).devicesAt;
    return bytes[found] === 4;
  } catch (error) {
    return isUnderstudyError(error, 'E_BASELINE_CORRUPT');
  }
}

test('what the parser does not know is refused by name, not guessed', (t) => {
  const refused: [number[], RegExp][] = [
    [be32(0x5145564e, 3), /at byte 0: not a migration stream/],
    [be32(0x5145564d, 4), /stream version 4/],
    [[...header, 9], /unknown type 9/],
    [[...header, 4], /devices before the RAM/],
    [[...header, 2, ...be32(7)], /unknown section 7/],
    [[...header, 1, ...be32(2), ...text('block'), ...be32(0, 1)], /"block" is sent in parts/],
    [
      [...header, 7, ...be32(2), 0x70, 0x63, 5, ...text('configuration/x'), ...be32(1)],
      /unknown subsection "configuration\/x"/,
    ],
    [[...header, 1, ...be32(2), ...text('ram'), ...be32(0, 4), ...be32(0, 0x100)], /flags 0x100/],
    [
      [
        ...header,
        1,
        ...be32(2),
        ...text('ram'),
        ...be32(0, 4),
        ...be32(0, 0x1004),
        ...text('x'),
      ].concat(be32(0, 0x2000, 0, 0)),
      /block "x" of 8192 bytes/,
    ],
    [
      [...header, 1, ...be32(2), ...text('ram'), ...be32(0, 4), ...be32(0, 0x10), 0x7e, ...be32(3)],
      /no section footer/,
    ],
  ];
  for (const [bytes, pattern] of refused) {
    const error = t.throws(() => parseBaseline(Uint8Array.from(bytes)), { message: pattern });
    t.true(isUnderstudyError(error, 'E_BASELINE_CORRUPT'));
  }
  for (const bytes of [baseline, Uint8Array.of(...header, 0)]) {
    const error = t.throws(() => spliceStream(baseline, bytes));
    t.true(isUnderstudyError(error, 'E_DEVICE_STATE_CORRUPT'));
  }
});
