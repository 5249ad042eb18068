import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { buildLabGuest } from '../../../drill/lab-guest/build.ts';
import type { DrillResult } from '../../../drill/result.ts';
import { runDrill } from '../../../drill/run.ts';

// Other tests run at the same time: a primary that is slow is not a primary that died.
const patience = 'heartbeat: { intervalMs: 50, limitMs: 4000 }';

/** On tmpfs. */
const memoryFolder = '/dev/shm';

const lab = `role: lab
${patience}
guest: { name: test, memory: 256MiB }
drill:
  workMs: 4000
  watchMs: 3000
  deadlineMs: 120000
`;

test.serial('a guest survives the death of its host', async (t) => {
  const result = await drill(t, 'kill-host', lab);
  everyCheckHolds(t, result);
  t.true(result.ramVerified && result.guestContinued);
  t.is(result.dataLost, 0);
  t.true(result.epochs.captured > 5 && result.epochs.acked > 5);
  t.true(result.wire.bytes > 0 && result.wire.bytes < result.wire.pageBytes);
  t.is(result.unprotectedWrites, 0, 'output commit is in force');
  t.is(result.client?.framesFromTwoCopies, 0);
  const { detect, decide, load, verify, resume, total } = result.failoverMs!;
  t.true([detect, decide, load, verify, resume].every((ms) => ms >= 0));
  t.true(Math.abs(detect + decide + load + verify + resume - total) < 0.001);
});

test.serial('a backup that dies and comes back protects again, then takes over', async (t) => {
  const result = await drill(t, 'kill-backup', lab);
  everyCheckHolds(t, result);
  t.is(result.sync.length, 2);
});

test.serial(
  'a host that is cut off from NATS, not from clients, is passed by, and its disk set right',
  async (t) => {
    // What a sync costs on this machine's disk is not the matter.
    process.env.TMPDIR = memoryFolder;
    t.teardown(() => {
      delete process.env.TMPDIR;
    });
    const result = await drill(t, 'partition-primary', `${lab}  dataDisk: 64MiB\n`);
    seenByClient(t, result);
    const names = result.checks.map(({ name }) => name);
    t.true(
      diskChecks.every((name) => names.includes(name)),
      names.join(', '),
    );
  },
);

test.serial('a host that was frozen and wakes after its takeover says nothing', async (t) => {
  const result = await drill(t, 'freeze-host', lab);
  seenByClient(t, result);
});

const diskChecks = [
  ...['file-system-clean', 'log-on-disk-whole', 'disk-holds-acknowledged-writes'],
  'disks-are-equal',
];

function seenByClient(t: ExecutionContext, result: DrillResult): void {
  everyCheckHolds(t, result);
  const { acknowledged, connectionsBroken, framesSeen, framesFromTwoCopies } = result.client!;
  t.true(acknowledged > 0 && framesSeen > 0);
  t.deepEqual(
    { connectionsBroken, framesFromTwoCopies },
    { connectionsBroken: 0, framesFromTwoCopies: 0 },
  );
  t.deepEqual([result.dataLost, result.unprotectedWrites], [0, 0]);
}

test.serial('drills that cut hosts off are held with the lab guest only', async (t) => {
  const own = 'role: lab\nguest: { name: own, kernel: /bin/true }\n';
  const result = await drill(t, 'freeze-host', own);
  t.is(result.error?.code, 'E_USAGE');
});

test.serial("an operator's own guest is drilled as well", async (t) => {
  const { kernel, initrd, append } = await buildLabGuest();
  const own = `role: primary
${patience}
guest:
  name: own
  memory: 256MiB
  kernel: ${kernel}
  initrd: ${initrd}
  append: ${append}
`;
  const result = await drill(t, 'kill-host', own);
  everyCheckHolds(t, result);
  t.is(result.dataLost, null, 'nobody wrote to it');
  t.true(result.ramVerified && result.guestContinued);
});

function everyCheckHolds(t: ExecutionContext, result: DrillResult): void {
  t.is(result.error, null);
  t.deepEqual(
    result.checks.filter(({ ok }) => !ok),
    [],
  );
  t.true(result.checks.length > 3);
  t.true(result.ok);
}

async function drill(t: ExecutionContext, scenario: string, guest: string): Promise<DrillResult> {
  const folder = await mkdtemp(join(tmpdir(), 'scenario-test-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  const guestFile = join(folder, 'guest.yaml');
  await writeFile(guestFile, guest);
  const reportFolder = join(folder, 'report');
  let text = '';
  const output = {
    write(part: string) {
      text += part;
    },
  };
  const status = await runDrill({ scenario, guestFile, json: true, reportFolder, output });
  const result: DrillResult = JSON.parse(text);
  t.is(status, result.ok ? 0 : 1);
  t.deepEqual((await readdir(reportFolder)).sort(), ['report.html', 'report.json']);
  return result;
}
