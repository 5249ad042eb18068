import test from 'ava';
import { judgeFrames, readPcap, type SeenFrame } from '../../../drill/network/frame-watch.ts';
import type { HostName } from '../../../drill/network/lab-network.ts';

const seen = (hosts: string): SeenFrame[] =>
  [...hosts].map((host, atUs) => ({ host: host as HostName, atUs }));

test('each holder may speak in its turn, and not after it', (t) => {
  t.deepEqual(judgeFrames(seen('aaabbb'), ['a', 'b']), { seen: 6, fromTwoCopies: 0 });
  t.deepEqual(judgeFrames(seen('aababb'), ['a', 'b']), { seen: 6, fromTwoCopies: 1 });
  t.deepEqual(judgeFrames(seen('aabbaabb'), ['a', 'b', 'a', 'b']).fromTwoCopies, 0);
  t.deepEqual(judgeFrames(seen('aabbaba'), ['a', 'b', 'a']).fromTwoCopies, 1);
});

test('a host that was never to run the guest may not speak at all', (t) => {
  t.is(judgeFrames(seen('abab'), ['a']).fromTwoCopies, 2);
  t.is(judgeFrames(seen('b'), ['a']).fromTwoCopies, 1);
});

test('a holder that said nothing before it lost its turn harms nobody', (t) => {
  t.is(judgeFrames(seen('bbb'), ['a', 'b']).fromTwoCopies, 0);
});

test('what tcpdump wrote is read up to the last whole frame', (t) => {
  const head = Buffer.alloc(24);
  head.writeUInt32LE(0xa1b2c3d4);
  const frame = (seconds: number, us: number, bytes: number) => {
    const record = Buffer.alloc(16 + bytes);
    record.writeUInt32LE(seconds, 0);
    record.writeUInt32LE(us, 4);
    record.writeUInt32LE(bytes, 8);
    return record;
  };
  const file = Buffer.concat([head, frame(1, 5, 60), frame(2, 0, 14), frame(3, 0, 60)]);
  t.deepEqual(readPcap(file), [1_000_005, 2_000_000, 3_000_000]);
  t.deepEqual(readPcap(file.subarray(0, -1)), [1_000_005, 2_000_000]);
  t.deepEqual(readPcap(head.subarray(0, 10)), []);
  t.throws(() => readPcap(Buffer.alloc(24)), { code: 'E_DRILL_STEP' });
});
