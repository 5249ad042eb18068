import test from 'ava';
import { digest64 } from '../../../shared/codec/digest.ts';
import {
  ArrayMemory,
  createPair,
  encodeEpoch,
  smallOptions,
} from '../../primary/pipeline/codec-fixture.ts';
import { goldenEpochs } from './golden-chunks.ts';
import { writeGoldenEpoch } from './golden-guest.ts';

test('golden chunks of version 1 are decoded to what they were', async (t) => {
  const { replica } = await createPair(smallOptions);
  const guest = new ArrayMemory(smallOptions.pageCount);
  for (let number = 1; number <= 4; number++) {
    writeGoldenEpoch(number, guest);
    for (const hex of goldenEpochs[number - 1]!) replica.decode(Buffer.from(hex, 'hex'));
    replica.commit();
    t.is(digest64(replica.ram.bytes), digest64(guest.bytes), `epoch ${number}`);
  }
});

test('the encoder still writes the golden chunks', async (t) => {
  const { encoder } = await createPair(smallOptions);
  const guest = new ArrayMemory(smallOptions.pageCount);
  encoder.adoptZeros(0, smallOptions.pageCount);
  const written: string[][] = [];
  const methods = new Set<string>();
  for (let number = 1; number <= 4; number++) {
    const { payloads, stats } = encodeEpoch(
      encoder,
      number,
      guest,
      writeGoldenEpoch(number, guest),
    );
    written.push(payloads.map((payload) => Buffer.from(payload).toString('hex')));
    for (const method of ['zeroRun', 'delta', 'wkdm', 'stored', 'general'] as const) {
      if (stats[method].pages > 0) methods.add(method);
    }
    if (stats.sharedBlocks > 0) methods.add('shared');
    if (stats.zeroBlocks > 0) methods.add('zero');
  }
  t.deepEqual(written, goldenEpochs);
  t.deepEqual([...methods].sort(), [
    'delta',
    'general',
    'shared',
    'stored',
    'wkdm',
    'zero',
    'zeroRun',
  ]);
});
