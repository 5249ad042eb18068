import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import test from 'ava';

/**
 * The model of who may run the guest, checked with spin. The runs, their bounds and what is
 * expected of them are the tables of docs/model/README.md, so that page and check can't differ.
 */

const model = fileURLToPath(new URL('../../../docs/model/understudy.pml', import.meta.url));
const page = readFileSync(join(model, '../README.md'), 'utf8');
const run = promisify(execFile);
const compilerFlags = ['-O2', '-w', '-DCOLLAPSE', '-DNOREDUCE', '-DMEMLIM=1900'];

interface Check {
  readonly title: string;
  readonly defines: readonly string[];
  /** The last column: states of a run that holds, or the property that fails. */
  readonly expected: string;
}

interface Verdict {
  /** The property that fails, or undefined: it holds in all states. */
  readonly violated: string | undefined;
  readonly stateCount: number;
  /** Steps of the model that no run took. */
  readonly unreached: readonly string[];
}

for (const { title, defines, expected } of checksUnder('The protocol holds')) {
  test.serial(`the protocol holds: ${title}`, async (t) => {
    t.timeout(600_000);
    const verdict = await check(defines);
    t.is(verdict.violated, undefined);
    t.is(verdict.stateCount, Number(expected), 'the states that docs/model/README.md reports');
  });
}

for (const heading of ['Seeded faults, each found', 'Limits, each shown']) {
  for (const { title, defines, expected } of checksUnder(heading)) {
    test.serial(`spin finds: ${title}`, async (t) => {
      t.timeout(600_000);
      t.is((await check(defines)).violated, expected);
    });
  }
}

test.serial('every step of the model is taken by some run', async (t) => {
  t.timeout(600_000);
  const { unreached } = await check(['SESSIONS=3', 'SWITCHOVERS=2']);
  t.deepEqual(unreached, []);
});

test.serial('a search that was cut short is no proof', async (t) => {
  t.timeout(600_000);
  await t.throwsAsync(check(['SWITCHOVERS=0'], { depthMax: 30 }), { message: /cut short/ });
  await t.throwsAsync(check(['SWITCHOVERS=0'], { memoryMib: 132 }), { message: /cut short/ });
});

test('the tables name every fault that the model knows', (t) => {
  const known = [...readFileSync(model, 'utf8').matchAll(/\bFAULT_[A-Z_]+/g)].map(([name]) => name);
  const listed = checksUnder('Seeded faults, each found').flatMap(({ defines }) => defines);
  t.deepEqual(
    [...new Set(known)].filter((name) => !listed.includes(name)),
    [],
  );
  t.true(known.length > 0);
});

/** Builds a checker for the model with these definitions and lets it search all states. */
async function check(
  defines: readonly string[],
  { depthMax = 20_000, memoryMib = 1900 } = {},
): Promise<Verdict> {
  const folder = await mkdtemp(join(tmpdir(), 'understudy-model-'));
  const inFolder = { cwd: folder, timeout: 500_000, maxBuffer: 16 * 1024 * 1024 };
  const endless = defines.some((define) => define.startsWith('EVENTUALLY'));
  const flags = [...compilerFlags, `-DMEMLIM=${memoryMib}`, ...(endless ? [] : ['-DSAFETY'])];
  try {
    await run('spin', [...defines.map((define) => `-D${define}`), '-a', model], inFolder);
    await run('gcc', [...flags, '-o', 'pan', 'pan.c'], inFolder);
    const how = [`-m${depthMax}`, endless ? '-a' : '-E'];
    const { stdout, stderr } = await run(join(folder, 'pan'), how, inFolder);
    return verdictOf(stdout + stderr);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Reads what spin's checker printed. Throws unless it says that it searched everything. */
function verdictOf(output: string): Verdict {
  const errors = /errors: (\d+)/.exec(output)?.[1];
  const states = /(\d+(?:\.\d+e\+\d+)?) states, stored/.exec(output)?.[1];
  if (errors === undefined || states === undefined) throw new Error(`no result in:\n${output}`);
  const asserted = /assertion violated (\w+)/.exec(output)?.[1];
  const violated = /acceptance cycle/.test(output) ? 'eventually' : asserted;
  if (violated === undefined) {
    const cut = /max search depth too small|Search not completed|MEMLIM|out of memory/i;
    if (cut.test(output)) throw new Error(`the search was cut short:\n${output}`);
    if (errors !== '0') throw new Error(`an error that is none of the properties:\n${output}`);
  }
  const unreached = [...output.matchAll(/\.pml:\d+, state \d+, "(.*)"/g)].map((match) => match[1]!);
  return {
    violated,
    stateCount: Number(states),
    unreached: unreached.filter((step) => step !== '-end-'),
  };
}

/** The rows of the table under a heading of the page: title, `DEFINES`, expectation. */
function checksUnder(heading: string): Check[] {
  const section = page.split(`### ${heading}\n`)[1]?.split('\n#')[0] ?? '';
  const rows = [...section.matchAll(/^\| ([^|]+) \| `([^`]+)` \| (\w+) \|$/gm)];
  if (rows.length === 0) throw new Error(`docs/model/README.md has no table under ${heading}`);
  return rows.map((row) => ({ title: row[1]!, defines: row[2]!.split(' '), expected: row[3]! }));
}
