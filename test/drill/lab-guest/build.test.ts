import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { buildLabGuest } from '../../../drill/lab-guest/build.ts';
import { mountTmpfs } from '../../tmpfs.ts';

// PATH is the process's: one after the other.
const serial = test.serial;

serial('two builders at once build one image, which then serves without apt', async (t) => {
  const cacheFolder = await temporaryFolder(t);
  const steps: string[] = [];
  const onProgress = (step: string) => steps.push(step);
  const [one, two] = await Promise.all([
    buildLabGuest({ cacheFolder, onProgress }),
    buildLabGuest({ cacheFolder, onProgress }),
  ]);
  t.deepEqual(one, two);
  t.is(steps.filter((step) => step.startsWith('downloading')).length, 1, steps.join('\n'));
  t.is((await readFile(one.initrd)).toString('latin1', 0, 6), '070701');
  t.deepEqual(await readdir(cacheFolder), [one.recipeDigest], 'nothing else is left');

  steps.length = 0;
  t.deepEqual(await buildLabGuest({ cacheFolder, onProgress }), one);
  t.deepEqual(steps, [], 'a cached image takes no steps');

  await withPrograms(t, { 'apt-get': 'echo "E: could not resolve" >&2; exit 100' });
  t.deepEqual(await buildLabGuest({ cacheFolder }), one, 'apt is away: the cache serves');
});

serial('without apt-get the error names it', async (t) => {
  await withPrograms(t, {});
  const error = await failure(t);
  t.is(error.code, 'E_GUEST_BUILD_TOOL');
  t.regex(error.message, /apt-get/);
});

serial('packages out of reach are an error with what apt said', async (t) => {
  await withPrograms(t, { 'apt-get': 'echo "E: Temporary failure resolving" >&2; exit 100' });
  const error = await failure(t);
  t.is(error.code, 'E_GUEST_BUILD_FETCH');
  t.regex(error.message, /Temporary failure resolving/);
  t.regex(error.hint, /apt-get update/);
});

const pretendToResolve = `case "$*" in
  *install*) echo "Inst busybox-static (1.0 Debian:12 [amd64])";;
  *) : >busybox.deb;;
esac`;

serial('without dpkg-deb the error names it', async (t) => {
  await withPrograms(t, { 'apt-get': pretendToResolve });
  const error = await failure(t);
  t.is(error.code, 'E_GUEST_BUILD_TOOL');
  t.regex(error.message, /dpkg-deb/);
});

serial('a damaged package is an error, and nothing is left in the cache', async (t) => {
  await withPrograms(t, {
    'apt-get': pretendToResolve,
    'dpkg-deb': 'echo "dpkg-deb: error: unexpected end of file" >&2; exit 2',
  });
  const cacheFolder = await temporaryFolder(t);
  const error = await failure(t, cacheFolder);
  t.is(error.code, 'E_GUEST_BUILD_PACKAGE');
  t.deepEqual(await readdir(cacheFolder), []);
});

serial('packages without a kernel are an error', async (t) => {
  await withPrograms(t, { 'apt-get': pretendToResolve, 'dpkg-deb': 'exit 0' });
  const error = await failure(t);
  t.is(error.code, 'E_GUEST_BUILD_PACKAGE');
  t.regex(error.message, /vmlinuz/);
});

serial('a cache folder without space is an error before anything is fetched', async (t) => {
  const cacheFolder = await temporaryFolder(t);
  t.teardown(mountTmpfs(cacheFolder, '8m'));
  await withPrograms(t, { 'apt-get': pretendToResolve });
  const error = await failure(t, cacheFolder);
  t.is(error.code, 'E_GUEST_BUILD_SPACE');
  t.regex(error.hint, /XDG_CACHE_HOME/);
});

serial('a cache folder that is a file is an error', async (t) => {
  const file = join(await temporaryFolder(t), 'file');
  await writeFile(file, '');
  const error = await failure(t, join(file, 'cache'));
  t.is(error.code, 'E_GUEST_BUILD_CACHE');
});

serial('the lock of a builder that died is taken over', async (t) => {
  await withPrograms(t, { 'apt-get': pretendToResolve, 'dpkg-deb': 'exit 0' });
  const cacheFolder = await temporaryFolder(t);
  // The greatest process number there can be is 4194304.
  await writeFile(join(cacheFolder, 'build.lock'), '4194305\n');
  t.is((await failure(t, cacheFolder)).code, 'E_GUEST_BUILD_PACKAGE', 'it went on to build');
  t.deepEqual(await readdir(cacheFolder), []);
});

async function failure(t: ExecutionContext, cacheFolder?: string) {
  const folder = cacheFolder ?? (await temporaryFolder(t));
  const error = await t.throwsAsync(buildLabGuest({ cacheFolder: folder }));
  return error as Error & { code: string; hint: string };
}

async function temporaryFolder(t: ExecutionContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'lab-guest-test-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** Leaves nothing on PATH but shell scripts with these names and bodies. */
async function withPrograms(t: ExecutionContext, programs: Record<string, string>) {
  const folder = await temporaryFolder(t);
  for (const [name, body] of Object.entries(programs)) {
    await writeFile(join(folder, name), `#!/bin/sh\n${body}\n`);
    await chmod(join(folder, name), 0o755);
  }
  const before = process.env.PATH;
  process.env.PATH = folder;
  t.teardown(() => {
    process.env.PATH = before;
  });
}
