import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { Namespace } from './namespace.ts';

const module = new URL('./guest-network-process.js', import.meta.url);

test('a bridge that is missing at the start, or goes, is told and taken when it is there', async (t) => {
  const namespace = await Namespace.create(t);
  const agent = namespace.fork(module, ['tap0', 'br0']);
  const makeBridge = () => {
    namespace.ip('link add br0 type bridge');
    namespace.ip('link set br0 up');
  };
  const attached = async () => {
    for (const deadline = performance.now() + 120_000; ; await sleep(50)) {
      if (namespace.ip('-br link show master br0').includes('tap0')) return true;
      if (performance.now() > deadline) return false;
    }
  };
  t.is(await agent.next(), 'E_UPLINK_BRIDGE');
  t.is(await agent.next(), 'open', 'the guest is protected all the same');
  makeBridge();
  t.true(await attached(), 'after the start without it');

  namespace.ip('link del br0');
  t.is(await agent.next(), 'E_UPLINK_BRIDGE');
  makeBridge();
  t.true(await attached(), 'after the bridge was gone');

  namespace.ip('link del tap0');
  t.is(await agent.next(), 'E_UPLINK_GONE');
  t.true(await attached(), 'after the TAP was gone');

  namespace.ip('link del br0');
  namespace.ip('link del tap0');
  const codes = [await agent.next<string>(), await agent.next<string>()];
  t.true(codes.includes('E_UPLINK_GONE') && codes.includes('E_UPLINK_BRIDGE'), String(codes));
  makeBridge();
  t.true(await attached(), 'after both were gone');
});
