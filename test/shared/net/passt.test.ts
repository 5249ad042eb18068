import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import type { UplinkConfig } from '../../../shared/net/uplink.ts';
import { Namespace } from './namespace.ts';
import type { UplinkCommand } from './uplink-process.ts';

const uplinkProcess = new URL('./uplink-process.js', import.meta.url);
const guestMac = '525400000001';
const passt = (hostPort: number): UplinkConfig => ({
  ...{ kind: 'passt', address: '10.77.0.2/24', gateway: '10.77.0.1' },
  forward: [{ hostPort, guestPort: 6379 }],
});

/** A host with a default route, and on it a process without any privilege. */
async function lab(t: ExecutionContext) {
  const namespace = await Namespace.create(t);
  namespace.ip('link add eth0 type veth peer name eth1');
  namespace.ip('addr add 10.5.0.2/24 dev eth0');
  namespace.ip('link set eth0 up');
  namespace.ip('link set eth1 up');
  namespace.ip('route add default via 10.5.0.1');
  const process = namespace.fork(uplinkProcess);
  const ask = (command: UplinkCommand) => process.ask<Record<string, unknown>>(command);
  return { namespace, process, ask };
}

type Ask = (command: UplinkCommand) => Promise<Record<string, unknown>>;

/** What came for the guest that has `mark` in it, in hex; waits for the first. */
async function seen(ask: Ask, mark: string): Promise<string> {
  for (const end = performance.now() + 120_000; ; await sleep(20)) {
    const { frames } = (await ask({ do: 'seen', id: 'p', mark })) as { frames: string[] };
    if (frames.length > 0) return frames[0]!;
    if (performance.now() > end) throw new Error(`no frame with ${mark}`);
  }
}

/** The guest asks who has its gateway. */
const whoHasGateway = `ffffffffffff${guestMac}08060001080006040001${guestMac}0a4d0002${'0'.repeat(12)}0a4d0001`;

for (const who of ['a user without any privilege', 'root']) {
  test(`${who} gives a guest a way to the world, and clients one to the guest`, async (t) => {
    const { namespace, ask } = await lab(t);
    if (who !== 'root') await ask({ do: 'drop-privileges' });
    t.deepEqual(await ask({ do: 'open', id: 'p', config: passt(18080) }), { ok: true });
    await ask({ do: 'send', id: 'p', frame: whoHasGateway.padEnd(120, '0'), count: 1 });
    // The answer: 10.77.0.1 is at the address that passt has on every host.
    const answer = await seen(ask, `08060001080006040002`);
    t.is(answer.slice(0, 12), guestMac);
    t.true(answer.includes('9a559a559a550a4d0001'), answer);
    // Who connects to the host's port makes passt speak TCP (SYN to port 6379) to the guest.
    namespace.run(`timeout 1 bash -c ${"'exec 3<>/dev/tcp/127.0.0.1/18080; sleep 0.5'"} || true`);
    const syn = await seen(ask, '18eb');
    t.is(syn.slice(24, 28), '0800');
    await ask({ do: 'close', id: 'p' });
  });
}

test('passt that dies is said to be gone, one that cannot start says why', async (t) => {
  const { namespace, ask } = await lab(t);
  await ask({ do: 'open', id: 'p', config: passt(18080) });
  namespace.run(`kill -9 $(ss -Hltnp 'sport = 18080' | sed 's/.*pid=\\([0-9]*\\).*/\\1/')`);
  for (const end = performance.now() + 120_000; ; await sleep(20)) {
    const { codes } = (await ask({ do: 'seen', id: 'p', mark: 'x' })) as { codes: string[] };
    if (codes.includes('E_UPLINK_GONE')) break;
    if (performance.now() > end) throw new Error('never gone');
  }
  namespace.ip('route del default');
  t.deepEqual(await ask({ do: 'open', id: 'q', config: passt(18081) }), { code: 'E_UPLINK_PASST' });
});
