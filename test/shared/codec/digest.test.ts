import test from 'ava';
import { xxhash64 } from 'hash-wasm';
import { digest64, EpochDigest } from '../../../shared/codec/digest.ts';
import { Random } from '../../primary/pipeline/codec-fixture.ts';

test('the digest is XXH64, however the bytes are cut', async (t) => {
  // XXH64 of nothing and of "abc", from xxHash's documentation and its sanity tests.
  t.is(digest64(new Uint8Array()), 0xef46db3751d8e999n);
  t.is(digest64(new TextEncoder().encode('abc')), 0x44bc2cf5ad770999n);
  const random = new Random(1);
  for (let round = 0; round < 30; round++) {
    const bytes = new Uint8Array(random.below(5000));
    random.fill(bytes);
    const digest = new EpochDigest();
    for (let at = 0; at < bytes.length; ) {
      const end = Math.min(bytes.length, at + 1 + random.below(300));
      digest.update(bytes.subarray(at, end));
      at = end;
      digest.value();
    }
    t.is(digest.value(), digest64(bytes));
    t.is(digest.value(), BigInt(`0x${await xxhash64(bytes)}`));
    digest.reset();
    t.is(digest.value(), digest64(new Uint8Array()));
  }
});
