import test from 'ava';
import { addSoftDirty, kernelHasSoftDirty } from '../../../primary/capture/soft-dirty.ts';
import { PageSet } from '../../../shared/page-set.ts';

/** pagemap entries as the kernel gives them (Documentation/admin-guide/mm/pagemap.rst). */
function entries(values: readonly bigint[]): Uint8Array {
  return new Uint8Array(BigUint64Array.from(values).buffer);
}

const present = 1n << 63n;
const fileMapped = 1n << 61n;
const writeProtected = 1n << 57n;
const exclusive = 1n << 56n;
const softDirty = 1n << 55n;
const frame = (1n << 55n) - 1n;

test('exactly the entries with bit 55 are pages written, whatever their other bits are', (t) => {
  const bytes = entries([
    present | fileMapped | softDirty | 0x1234n,
    present | fileMapped | 0x1235n,
    0n,
    softDirty,
    present | exclusive | writeProtected | frame,
    present | exclusive | writeProtected | softDirty | frame,
    ~softDirty & (2n ** 64n - 1n),
    softDirty,
  ]);
  const found = new PageSet(200);
  addSoftDirty(bytes, 7, 100, found);
  const pages = new Uint32Array(found.size);
  found.take(0, pages);
  t.deepEqual([...pages], [100, 103, 105]);
});

test('the probe says the same each time and does not throw', (t) => {
  t.is(kernelHasSoftDirty(), kernelHasSoftDirty());
});
