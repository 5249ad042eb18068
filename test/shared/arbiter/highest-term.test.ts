import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { HighestTerm } from '../../../shared/arbiter/highest-term.ts';
import { isUnderstudyError } from '../../../shared/errors.ts';
import type { GuestName } from '../../../shared/ids.ts';
import { exampleRecord, guest } from './term-example.ts';

async function folderOf(t: ExecutionContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'understudy-test-term-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

test('what was seen is remembered by the next process, and nothing else is left', async (t) => {
  const folder = await folderOf(t);
  const path = join(folder, 'highest-term');
  const first = await HighestTerm.open(path, guest);
  t.is(first.seen, null);
  await first.observe(null);
  t.deepEqual(await readdir(folder), [], 'no term, no file');
  const record = exampleRecord(3, 'east');
  await first.observe(record);
  await first.observe(record);
  t.deepEqual((await HighestTerm.open(path, guest)).seen, { term: 3, nonce: record.nonce });
  t.deepEqual(await readdir(folder), ['highest-term']);
});

test('an arbiter that counts from 1 again is not believed', async (t) => {
  const path = join(await folderOf(t), 'highest-term');
  const own = await HighestTerm.open(path, guest);
  const record = exampleRecord(3, 'east');
  await own.observe(record);
  const next = await HighestTerm.open(path, guest);
  for (const latest of [null, exampleRecord(1, 'east'), exampleRecord(3, 'east')]) {
    for (const memory of [own, next]) {
      const error = await t.throwsAsync(memory.observe(latest));
      t.true(isUnderstudyError(error, 'E_TERM_BACKWARDS'), String(error));
    }
  }
  t.deepEqual((await HighestTerm.open(path, guest)).seen, { term: 3, nonce: record.nonce });
  await t.notThrowsAsync(own.observe(exampleRecord(4, 'west')));
});

test('terms that are noted at once leave the highest', async (t) => {
  const path = join(await folderOf(t), 'highest-term');
  const own = await HighestTerm.open(path, guest);
  const records = [1, 5, 2, 9, 4].map((n) => exampleRecord(n, 'east'));
  const results = await Promise.allSettled(records.map((record) => own.observe(record)));
  const noted = results.map((result) => result.status === 'fulfilled');
  t.deepEqual(noted, [true, true, false, true, false]);
  t.is((await HighestTerm.open(path, guest)).seen?.term, 9);
});

test('a file that is not one, or another guest’s, is an error and not a fresh start', async (t) => {
  const path = join(await folderOf(t), 'highest-term');
  const own = await HighestTerm.open(path, guest);
  await own.observe(exampleRecord(3, 'east'));
  const other = await t.throwsAsync(HighestTerm.open(path, 'other' as GuestName));
  t.true(isUnderstudyError(other, 'E_TERM_FILE'), String(other));
  for (const text of ['', 'null', '{"version":2,"guest":"lab","term":3,"nonce":""}']) {
    await writeFile(path, text);
    const error = await t.throwsAsync(HighestTerm.open(path, guest));
    t.true(isUnderstudyError(error, 'E_TERM_FILE'), text);
  }
});

test('a term that can not be written down counts as not noted', async (t) => {
  const folder = await folderOf(t);
  const own = await HighestTerm.open(join(folder, 'missing', 'highest-term'), guest);
  const error = await t.throwsAsync(own.observe(exampleRecord(1, 'east')));
  t.true(isUnderstudyError(error, 'E_TERM_FILE'), String(error));
  t.is(own.seen, null);
});
