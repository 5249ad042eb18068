import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import type { UplinkConfig } from '../../../shared/net/uplink.ts';
import { Namespace, type Process } from './namespace.ts';
import type { UplinkCommand } from './uplink-process.ts';

const uplinkProcess = new URL('./uplink-process.js', import.meta.url);
const tap = (name: string, bridge: string | null = null): UplinkConfig => ({
  ...{ kind: 'tap', name, bridge },
});

/** One process in a namespace of its own, with a bridge br0. */
async function lab(t: ExecutionContext, before: readonly string[] = []) {
  const namespace = await Namespace.create(t);
  namespace.ip('link add br0 type bridge');
  namespace.ip('link set br0 up');
  const process = namespace.fork(uplinkProcess, [], before);
  return { namespace, ...commandsOf(process) };
}

function commandsOf(process: Process) {
  const ask = (command: UplinkCommand) => process.ask<Record<string, unknown>>(command);
  return {
    open: (id: string, config: UplinkConfig) => ask({ do: 'open', id, config }),
    send: (id: string, frame: string, count = 1) => ask({ do: 'send', id, frame, count }),
    announce: (id: string, mac: string) => ask({ do: 'announce', id, mac }),
    close: (id: string) => ask({ do: 'close', id }),
    seen: async (id: string, mark: string) =>
      (await ask({ do: 'seen', id, mark })) as { frames: string[]; codes: string[] },
  };
}

type Lab = Awaited<ReturnType<typeof lab>>;

async function until(condition: () => Promise<boolean>, what: string): Promise<void> {
  for (const end = performance.now() + 120_000; !(await condition()); await sleep(20)) {
    if (performance.now() > end) throw new Error(`not within 120 s: ${what}`);
  }
}

/** Hex of a frame of an experimental type, from and to these addresses, with a mark in it. */
const frame = (to: string, from: string, mark: string) =>
  `${to}${from}88b5${mark}`.replaceAll(':', '').padEnd(120, '0');
const broadcast = 'ffffffffffff';
const sender = '020000000001';

/** Resolves when the bridge carries frames from one to the other. */
async function connected({ send, seen }: Lab, from: string, to: string, mark: string) {
  await until(async () => {
    await send(from, frame(broadcast, sender, mark));
    return (await seen(to, mark)).frames.length > 0;
  }, `${from} reaches ${to}`);
}

test('frames go through a bridge from one TAP to another, whole and in order', async (t) => {
  const { open, send, seen, close, ...rest } = await lab(t);
  const all = { open, send, seen, close, ...rest };
  t.deepEqual(await open('a', tap('ta', 'br0')), { ok: true });
  t.deepEqual(await open('b', tap('tb', 'br0')), { ok: true });
  await connected(all, 'a', 'b', 'cafe01');
  const sent = Array.from({ length: 300 }, (_, index) =>
    frame(broadcast, sender, `beef${index.toString(16).padStart(4, '0')}${'ab'.repeat(index * 4)}`),
  );
  for (const one of sent) await send('a', one);
  await until(async () => (await seen('b', 'beef')).frames.length >= sent.length, 'all arrive');
  t.deepEqual((await seen('b', 'beef')).frames, sent);
  t.deepEqual((await seen('a', 'beef')).frames, [], 'nothing comes back');
  await close('a');
  await close('b');
  t.notRegex(rest.namespace.ip('-br link'), /t[ab]/, 'a closed uplink leaves no interface');
});

test('an announcement moves the guest’s address to the port that it comes from', async (t) => {
  const all = await lab(t);
  const { open, send, seen, announce } = all;
  await open('client', tap('tc', 'br0'));
  await open('old', tap('to', 'br0'));
  await open('new', tap('tn', 'br0'));
  await connected(all, 'client', 'old', 'cafe02');
  await connected(all, 'client', 'new', 'cafe03');
  const guest = '52:00:00:00:00:07';
  for (const [holder, other, mark] of [
    ['old', 'new', 'feed01'],
    ['new', 'old', 'feed02'],
  ] as const) {
    await announce(holder, guest);
    await send('client', frame(guest, sender, mark), 20);
    await until(async () => (await seen(holder, mark)).frames.length === 20, `${holder} gets it`);
    t.deepEqual((await seen(other, mark)).frames, []);
  }
});

test('an uplink that can’t be had is refused by name', async (t) => {
  const { open, namespace } = await lab(t);
  namespace.ip('link add dummy0 type veth peer name dummy1');
  t.deepEqual(await open('a', tap('ta')), { ok: true });
  t.deepEqual(await open('b', tap('ta')), { code: 'E_UPLINK_IN_USE' });
  t.deepEqual(await open('b', tap('dummy0')), { code: 'E_UPLINK_NAME' });
  t.deepEqual(await open('b', tap('tb', 'br7')), { code: 'E_UPLINK_BRIDGE' });
  t.deepEqual(await open('b', tap('tb', 'dummy0')), { code: 'E_UPLINK_BRIDGE' });
  t.notRegex(namespace.ip('-br link'), /tb/, 'what was refused leaves no interface');
  t.deepEqual(await open('b', tap('tb', 'br0')), { ok: true });
});

test('without the right to make interfaces the error says so', async (t) => {
  const { open } = await lab(t, ['setpriv', '--bounding-set', '-all', '--inh-caps', '-all']);
  t.deepEqual(await open('a', tap('ta')), { code: 'E_UPLINK_RIGHT' });
});

test('a TAP that is removed is told once, and closes cleanly', async (t) => {
  const { open, send, seen, close, namespace } = await lab(t);
  await open('a', tap('ta'));
  namespace.ip('link del ta');
  await until(async () => (await seen('a', '-')).codes.length > 0, 'it is told');
  t.deepEqual(await send('a', frame(broadcast, sender, '01')), { taken: 0 });
  t.deepEqual((await seen('a', '-')).codes, ['E_UPLINK_GONE']);
  t.deepEqual(await close('a'), { ok: true });
  t.deepEqual(await open('a', tap('ta')), { ok: true });
});

test('a TAP that is taken down is told once, and serves again when it is up', async (t) => {
  const { open, send, seen, namespace } = await lab(t);
  await open('a', tap('ta'));
  namespace.ip('link set ta down');
  t.deepEqual(await send('a', frame(broadcast, sender, '01'), 5), { taken: 0 });
  t.deepEqual((await seen('a', '-')).codes, ['E_UPLINK_DOWN']);
  namespace.ip('link set ta up');
  t.deepEqual(await send('a', frame(broadcast, sender, '01'), 5), { taken: 5 });
});

test('a bridge that goes is told, and one that comes back has its port again', async (t) => {
  const all = await lab(t);
  const { open, seen, namespace } = all;
  await open('a', tap('ta', 'br0'));
  await open('b', tap('tb', 'br0'));
  await connected(all, 'a', 'b', 'cafe04');
  namespace.ip('link del br0');
  await until(async () => (await seen('a', '-')).codes.length > 0, 'it is told');
  t.deepEqual((await seen('a', '-')).codes, ['E_UPLINK_BRIDGE']);
  namespace.ip('link add br0 type bridge');
  namespace.ip('link set br0 up');
  await connected(all, 'a', 'b', 'cafe05');
  t.deepEqual((await seen('a', '-')).codes, ['E_UPLINK_BRIDGE']);
});

test('on a bridge the host itself says nothing on the guest’s cable', async (t) => {
  const all = await lab(t);
  await all.open('a', tap('ta', 'br0'));
  const addresses = all.namespace.ip('-6 addr show dev ta');
  t.is(addresses.trim(), '', 'no IPv6 address of the host on the TAP');
  await all.open('routed', tap('tr'));
  await until(async () => all.namespace.ip('-6 addr show dev tr') !== '', 'a routed one has one');
});
