import test from 'ava';
import {
  captureBytesOf,
  chunkBytesOf,
  paceOf,
  stagingBytesOf,
} from '../../../shared/config/derived.ts';
import { parseConfig } from '../../../shared/config/load.ts';
import type { LabConfig } from '../../../shared/config/schema.ts';

const mib = 2 ** 20;
const lab = (memory: string, rest = '') =>
  parseConfig(`role: lab\nguest: {name: lab, memory: ${memory}}\n${rest}`, 'f') as LabConfig;

test('sizes that the file leaves open grow with the guest, within bounds', (t) => {
  const sizes = (['32MiB', '256MiB', '4GiB'] as const).map((memory) => [
    captureBytesOf(lab(memory)) / mib,
    stagingBytesOf(lab(memory)) / mib,
  ]);
  t.deepEqual(sizes, [
    [8, 64],
    [16, 128],
    [128, 2048],
  ]);
});

test('sizes that the file states are taken', (t) => {
  const config = lab('256MiB', 'epoch: {captureBuffer: 20MiB}\nstaging: {bytesMax: 32MiB}');
  t.is(captureBytesOf(config), 20 * mib);
  t.is(stagingBytesOf(config), 32 * mib);
});

test('a message fits what the server takes, and a quarter of the window', (t) => {
  t.is(chunkBytesOf(lab('64MiB'), 8 * mib), mib);
  t.is(chunkBytesOf(lab('64MiB'), mib), 512 * 1024);
  t.is(chunkBytesOf(lab('64MiB', 'flow: {chunk: 64KiB}'), mib), 64 * 1024);
  t.true(chunkBytesOf(lab('64MiB', 'flow: {window: 4MiB}'), 8 * mib) < mib);
  t.true(chunkBytesOf(lab('64MiB', 'flow: {chunk: 1MiB}'), mib) < mib);
});

test('epochs follow the work only where all that the guest says waits for them', (t) => {
  const pace = (networks: string, rest = '') => {
    const guest = `{name: lab, memory: 64MiB, networks: [${networks}]}`;
    const config = parseConfig(`role: lab\nguest: ${guest}\n${rest}`, 'f') as LabConfig;
    const { shortestMs, intervalMs, longestMs } = paceOf(config);
    return [shortestMs, intervalMs, longestMs];
  };
  t.deepEqual(pace('{kind: cable}'), [25, 100, 500]);
  t.deepEqual(pace('{kind: cable}', 'epoch: {intervalMs: 20}'), [10, 20, 100]);
  t.deepEqual(pace('{kind: cable}', 'epoch: {shortestMs: 50, longestMs: 100}'), [50, 100, 100]);
  t.deepEqual(pace('{kind: cable}, {kind: user}'), [100, 100, 100]);
  t.deepEqual(pace(''), [100, 100, 100]);
  t.deepEqual(pace('{kind: cable}', 'mode: remus'), [100, 100, 100]);
  t.deepEqual(pace('{kind: cable}', 'output: {rule: input-log}'), [100, 100, 100]);
});
