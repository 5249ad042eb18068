import test from 'ava';
import { clientAddress, LabNetwork } from '../../../drill/network/lab-network.ts';

test('hosts, clients and servers reach each other until they are cut off', async (t) => {
  const network = await LabNetwork.create(3);
  t.teardown(() => network.close());
  const server = network.servers[2]!.address;
  const reaches = async (from: 'a' | 'b', link: 'nats' | 'lan', patienceS = 30) => {
    // A host says nothing on its clients' network: its guest does. The link itself is looked at.
    if (link === 'lan') {
      const links = await network.host(from).run(['ip', '-o', 'link', 'show', 'lan0']);
      return links.includes('LOWER_UP');
    }
    const bash = `exec 3<>/dev/tcp/${server}/1`;
    // Refused is an answer; silence ends in a timeout.
    const said = await network
      .host(from)
      .run(['timeout', String(patienceS), 'bash', '-c', `${bash} || exit 0`])
      .catch((error: Error) => error.message);
    return !/Command failed|timeout \d/.test(said);
  };
  t.true(await reaches('a', 'nats'));
  t.true(await reaches('a', 'lan'));
  await network.cut('a', 'nats');
  t.false(await reaches('a', 'nats', 2));
  t.true(await reaches('b', 'nats'), 'the other host is not cut off');
  await network.cut('a', 'lan');
  t.false(await reaches('a', 'lan'));
  await network.powerOn('a');
  t.true(await reaches('a', 'nats'));
  t.true(await reaches('a', 'lan'));
  t.true((await network.client.run(['ip', '-o', 'addr'])).includes(clientAddress));
});

test('a slow link says how it is slow, and is fast again', async (t) => {
  const network = await LabNetwork.create(1);
  t.teardown(() => network.close());
  const queue = () => network.host('b').run(['tc', 'qdisc', 'show', 'dev', 'nats0']);
  t.regex(await network.slowDown('b'), /netem|tbf/);
  t.regex(await queue(), /netem|tbf/);
  await network.speedUp('b');
  t.notRegex(await queue(), /netem|tbf/);
});
