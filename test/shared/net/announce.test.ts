import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { announce, reverseArp } from '../../../shared/net/announce.ts';
import { networkBounds } from '../../../shared/net/network-bounds.ts';

test('the announcement is the frame that QEMU sends for announce-self', (t) => {
  // Taken from QEMU 7.2: announce-self with mac=52:54:00:12:34:56.
  const expected = [
    ...['ffffffffffff', '525400123456', '8035', '0001', '0800', '06', '04', '0003'],
    ...['525400123456', '00000000', '525400123456', '00000000', '00'.repeat(18)],
  ].join('');
  t.is(Buffer.from(reverseArp('52:54:00:12:34:56')).toString('hex'), expected);
});

test('what is no hardware address is not announced', (t) => {
  for (const wrong of ['', '52:54:00:12:34', '52:54:00:12:34:5g', '525400123456']) {
    t.throws(() => reverseArp(wrong), { instanceOf: RangeError });
  }
});

test('the address is announced at once and a few times more, and not after it is stopped', async (t) => {
  const { announceAtMs } = networkBounds;
  let sent = 0;
  const stop = announce('52:54:00:12:34:56', () => sent++);
  t.is(sent, 1);
  while (sent < announceAtMs.length) await sleep(20);
  stop();
  const other = announce('52:54:00:12:34:56', () => sent++);
  other();
  await sleep(announceAtMs[1]! * 3);
  t.is(sent, announceAtMs.length + 1);
});
