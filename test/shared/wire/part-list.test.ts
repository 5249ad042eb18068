import test from 'ava';
import fc from 'fast-check';
import { isUnderstudyError } from '../../../shared/errors.ts';
import { PartList, splitParts } from '../../../shared/wire/part-list.ts';
import type { Part } from '../../../shared/wire/stream-body.ts';

test('bytes of any size come back whole from parts of any size', (t) => {
  const property = fc.property(
    fc.uint8Array({ maxLength: 500 }),
    fc.integer({ min: 1, max: 600 }),
    (bytes, partBytes) => {
      const list = new PartList('device');
      t.false(list.complete);
      for (const part of splitParts('device', bytes, partBytes)) list.add(part);
      t.true(list.complete);
      t.deepEqual(list.bytes(), bytes);
    },
  );
  t.notThrows(() => fc.assert(property));
});

test('a part that is missing, doubled, of another whole or kind is refused', (t) => {
  const parts = [...splitParts('baseline', new Uint8Array(100), 30)];
  const refused = (list: Part[]) => {
    const whole = new PartList('baseline');
    const error = t.throws(() => {
      for (const part of list) whole.add(part);
    });
    t.true(isUnderstudyError(error, 'E_FRAME_CORRUPT'));
    t.false(whole.complete);
  };
  const [a, b, c] = parts as [Part, Part, Part, Part];
  refused([a, c]);
  refused([a, a]);
  refused([b]);
  refused([a, { ...b, totalBytes: 99 }]);
  refused([a, { ...b, count: 5 }]);
  refused([a, { ...b, kind: 'device' }]);
  refused([a, { ...b, payload: new Uint8Array(71) }]);
  refused([{ ...a, count: 1 }]);
  refused([{ ...a, totalBytes: 2 ** 40 }]);
});

test('half a list gives no bytes', (t) => {
  const list = new PartList('device');
  const [first] = [...splitParts('device', new Uint8Array(10), 5)];
  list.add(first!);
  t.throws(() => list.bytes());
});
