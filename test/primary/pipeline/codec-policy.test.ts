import test from 'ava';
import { CodecPolicy, type LinkState } from '../../../primary/pipeline/codec-policy.ts';

const link = (megabytes: number, isBusy = false): LinkState => ({
  ...{ bytesPerSecond: megabytes * 1e6, isBusy },
});
const auto = (gzipLevelMax = 6, threads = 1) => new CodecPolicy({ gzipLevelMax, threads });
const nameAt = (policy: CodecPolicy, state: LinkState): string => {
  policy.choose(state);
  return policy.verdict.name;
};
/** An epoch in which a MiB of groups took so long and left so much. */
const note = (policy: CodecPolicy, megabytesPerSecond: number, ratio: number): void => {
  const bytesIn = 1 << 20;
  const generalMs = bytesIn / megabytesPerSecond / 1000;
  policy.note({ bytesIn, bytesOut: bytesIn * ratio, generalMs });
};

test('before anything was measured it is lz4', (t) => {
  const policy = auto();
  t.is(policy.verdict.name, 'lz4');
  t.is(nameAt(policy, link(125)), 'lz4');
});

test('the faster the link, the less is computed', (t) => {
  const names = [2, 100, 4000].map((megabytes) => nameAt(auto(), link(megabytes)));
  t.deepEqual(names, ['gzip-1', 'lz4', 'none']);
});

test('where epochs wait for the link, what is computed meanwhile costs little', (t) => {
  t.is(nameAt(auto(), link(25)), 'lz4');
  t.is(nameAt(auto(), link(25, true)), 'gzip-1');
  t.is(nameAt(auto(), link(1, true)), 'gzip-6');
});

test('gzip stays within the level that is allowed', (t) => {
  t.is(nameAt(auto(0), link(1, true)), 'lz4');
  t.is(nameAt(auto(1), link(1, true)), 'gzip-1');
  const { codec, level } = auto(4).choose(link(0.2, true));
  t.deepEqual([codec, level], ['gzip', 4]);
});

test('cores that are short of time speak for less work', (t) => {
  const policy = auto();
  t.is(nameAt(policy, link(6)), 'gzip-1');
  // The same codec, at a tenth of its speed: the guest, or something else, has the cores.
  for (let i = 0; i < 30; i++) {
    policy.choose(link(6));
    note(policy, policy.verdict.name === 'lz4' ? 60 : 11, 0.4);
  }
  t.is(nameAt(policy, link(6)), 'lz4');
  t.is(nameAt(policy, link(200)), 'none');
});

test('threads beside each other speak for more work', (t) => {
  t.is(nameAt(auto(6, 1), link(14)), 'lz4');
  t.is(nameAt(auto(6, 4), link(14)), 'gzip-1');
});

test('data that does not compress is not compressed', (t) => {
  const policy = auto();
  for (let i = 0; i < 30; i++) {
    policy.choose(link(125));
    note(policy, 600, 0.99);
  }
  t.is(nameAt(policy, link(125)), 'none');
});

test('a small difference changes nothing, and a small sample says nothing', (t) => {
  const policy = auto();
  // Nothing at all would be cheaper here, by a little.
  t.is(nameAt(policy, link(340)), 'lz4');
  policy.note({ bytesIn: 1000, bytesOut: 1000, generalMs: 1000 });
  t.is(nameAt(policy, link(100)), 'lz4');
});

test('a codec whose cost is close is tried for an epoch, and what it shows counts', (t) => {
  const policy = auto(1);
  let trials = 0;
  for (let i = 0; i < 400; i++) {
    const { codec } = policy.choose(link(20));
    if (codec === 'gzip' && policy.verdict.name === 'lz4') trials += 1;
    // Gzip does far better on this data than it does on most.
    note(policy, codec === 'gzip' ? 300 : 600, codec === 'gzip' ? 0.1 : 0.47);
  }
  t.is(trials, 1);
  t.is(policy.verdict.name, 'gzip-1');
});

test('the reason names the link and both costs', (t) => {
  const policy = auto();
  policy.choose(link(2, true));
  t.regex(policy.verdict.why, /2\.00 MB\/s, and epochs wait for it: \d+ ns a byte .*, lz4 \d+/);
});
