/**
 * A receiver as a process of its own, for tests that stop or kill it. Arguments: server's URL,
 * milliseconds that handling a frame takes. Prints "ready", then, on end of input, what it got:
 * `{frames, inOrder, broken, digest, duplicates, gaps}`.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { EpochDigest } from '../../../shared/codec/digest.ts';
import { connectNats } from '../../../shared/transport/nats-transport.ts';
import { StreamReceiver } from '../../../shared/transport/stream-receiver.ts';

const [url = '', handleMs = '0'] = process.argv.slice(2);
const transport = await connectNats({ servers: [url], name: 'consumer' });
const digest = new EpochDigest();
let frames = 0;
let inOrder = true;
let broken: string | null = null;
const receiver = new StreamReceiver({
  transport,
  dataSubject: 'understudy.test.data',
  creditSubject: 'understudy.test.credit',
  guest: 1n,
  session: 2n,
  handler: async (frame) => {
    frames += 1;
    if (frame.sequence !== frames) inOrder = false;
    digest.update(frame.body);
    if (handleMs !== '0') await sleep(Number(handleMs));
  },
  onBroken: (error) => {
    broken = String(error);
  },
});
await transport.flush();
process.stdout.write('ready\n');
process.stdin.resume();
process.stdin.on('end', async () => {
  await receiver.close();
  const { duplicates, gaps } = receiver.stats;
  const hex = digest.value().toString(16);
  const result = { frames, inOrder, broken, digest: hex, duplicates, gaps };
  process.stdout.write(`${JSON.stringify(result)}\n`);
  await transport.close();
});
