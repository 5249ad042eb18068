import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { readGuestIdentity } from '../../../drill/checkers/guest-identity.ts';
import { connectStore } from '../../../drill/checkers/store-connection.ts';
import { startLabMachine } from './lab-machine.ts';

const deadlineMs = 120_000;
const never = new AbortController().signal;

test.serial('the guest boots, and one process of it counts at the rate asked for', async (t) => {
  const machine = await startLabMachine(t, 'lab.counter=20 lab.load=kv lab.rate=200');
  const console = await machine.waitForConsole(/LAB READY (\S+)\r?\n/, deadlineMs);
  const client = await connectStore({ host: '127.0.0.1', port: machine.port }, deadlineMs, never);
  t.teardown(() => client.destroy());
  let startMs = performance.now();
  let first = await readGuestIdentity(client, deadlineMs);
  while (first.counterConnection === '' || Number.isNaN(first.counter)) {
    // The console says READY when the counting process has been started.
    await sleep(50);
    startMs = performance.now();
    first = await readGuestIdentity(client, deadlineMs);
  }
  t.is(first.bootId, /LAB READY (\S+)/.exec(console)?.[1] ?? '');
  const counted = 60;
  const endAtMs = performance.now() + deadlineMs;
  let last = first;
  while (last.counter < first.counter + counted || (await client.dbSize()) <= 100) {
    if (performance.now() > endAtMs) throw new Error(`${last.counter}, from ${first.counter}`);
    await sleep(100);
    last = await readGuestIdentity(client, deadlineMs);
  }
  // A busy machine makes it slower, nothing makes it faster.
  const rate = ((last.counter - first.counter) * 1000) / (performance.now() - startMs);
  t.true(rate < 25, `${rate} a second`);
  t.deepEqual({ ...last, counter: 0 }, { ...first, counter: 0 });
});

test.serial('writes of the memory load reach the guest, and a wrong word is refused', async (t) => {
  const memory = await startLabMachine(t, 'lab.load=memory lab.rate=20 lab.set=16');
  await memory.waitForConsole(/LAB READY/, deadlineMs);
  const wrong = await startLabMachine(t, 'lab.load=nonsense');
  const console = await wrong.waitForConsole(/LAB FAILED [^\n]*\n/, deadlineMs);
  t.regex(console, /LAB FAILED unknown lab.load=nonsense/);
  t.true(await waitForBusy(memory.pid), 'the guest works');
});

/** True once QEMU uses more of a core for a second than the twentieth that an idle guest takes. */
async function waitForBusy(pid: number): Promise<boolean> {
  for (let i = 0; i < 60; i++) {
    const ticks = async () => {
      const fields = (await readFile(`/proc/${pid}/stat`, 'utf8')).split(') ')[1]!.split(' ');
      return Number(fields[11]) + Number(fields[12]);
    };
    const before = await ticks();
    await sleep(1_000);
    if ((await ticks()) - before >= 15) return true;
  }
  return false;
}
