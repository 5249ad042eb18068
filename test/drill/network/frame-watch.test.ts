import test from 'ava';
import type { Turn } from '../../../drill/holders.ts';
import { judgeFrames, readPcap, type SeenFrame } from '../../../drill/network/frame-watch.ts';
import type { HostName } from '../../../drill/network/lab-network.ts';

/** A frame each millisecond of the capture's clock, which is 1000 ms ahead. */
const seen = (hosts: string): SeenFrame[] =>
  [...hosts].map((host, index) => ({ host: host as HostName, atUs: 1e6 + index * 100_000 }));
/** A turn for each letter; a dash is 100 ms. */
const turns = (hosts: string): Turn[] =>
  [...hosts].flatMap((host, index) =>
    host === '-' ? [] : [{ host: host as HostName, sinceMs: index * 100 }],
  );
const count = (frames: string, hosts: string) => judgeFrames(seen(frames), turns(hosts), 1000);

test('each holder may speak in its turn, and not after it', (t) => {
  t.deepEqual(count('aaabbb', 'a--b'), { seen: 6, fromTwoCopies: 0 });
  t.deepEqual(count('aababb', 'a-b'), { seen: 6, fromTwoCopies: 1 });
  t.is(count('aabbaabb', 'a-b-a-b').fromTwoCopies, 0);
  t.is(count('aabbaba', 'a-b-a').fromTwoCopies, 1);
});

test('a late word is not taken for the next turn of its host', (t) => {
  t.is(count('aabbbaabbbbbaa', 'a-b---------a').fromTwoCopies, 2);
  t.is(count('aabbbaabbbbbaabb', 'a-b---------a-b').fromTwoCopies, 2);
});

test('a host that was never to run the guest may not speak at all', (t) => {
  t.is(count('abab', 'a').fromTwoCopies, 2);
  t.is(count('b', 'a').fromTwoCopies, 1);
  t.is(count('abbb', 'a--b').fromTwoCopies, 2, 'nor before its turn');
});

test('a holder that said nothing before it lost its turn harms nobody', (t) => {
  const both: Turn[] = [
    { host: 'a', sinceMs: 0 },
    { host: 'b', sinceMs: 0 },
  ];
  t.is(judgeFrames(seen('bbb'), both, 1000).fromTwoCopies, 0);
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
