import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { parseShimStatus } from '../../primary/capture/write-protect.ts';
import { shimPath } from '../../shared/qemu/launch.ts';

const folder = mkdtempSync('/dev/shm/us-shim-');
test.after.always(() => rmSync(folder, { recursive: true, force: true }));

const ram = join(folder, 'ram');
const other = join(folder, 'other');
const program = join(folder, 'map-file');
writeFileSync(ram, new Uint8Array(1 << 20));
writeFileSync(other, new Uint8Array(4096));
const source = fileURLToPath(new URL('../../../test/native/map-file.c', import.meta.url));
execFileSync('gcc', ['-O1', '-Wall', '-Werror', '-o', program, source]);

interface Run {
  readonly status?: string;
  readonly fromStart?: boolean;
  readonly ramSetting?: string;
  /** Descriptors that stay free while the RAM is mapped. */
  readonly spare?: number;
  readonly wrapper?: readonly string[];
}

function run({ status, fromStart = false, ramSetting, spare, wrapper = [] }: Run) {
  const words = [...wrapper, program, ram, other, ...(spare === undefined ? [] : [String(spare)])];
  const env = {
    PATH: process.env.PATH,
    LD_PRELOAD: shimPath,
    ...(ramSetting === undefined ? {} : { UNDERSTUDY_RAM_FILE: ramSetting }),
    ...(status === undefined ? {} : { UNDERSTUDY_SHIM_STATUS: status }),
    ...(fromStart ? { UNDERSTUDY_SHIM_FROM_START: '1' } : {}),
  };
  return spawnSync(words[0]!, words.slice(1), { env, encoding: 'utf8' });
}

test('the shared mapping of the RAM file is registered and said, and nothing else is', (t) => {
  const status = join(folder, 'status');
  // A wrapper that starts QEMU does not use the shim up.
  const { stdout, stderr } = run({ status, ramSetting: ram, wrapper: ['sh', '-c', '"$0" "$@"'] });
  t.is(stderr, '');
  const [value, address, preload] = stdout.trim().split(' ');
  t.is(value, '7', 'the memory works');
  t.is(preload, 'unset', 'what the program starts is not preloaded');
  const said = readFileSync(status, 'utf8');
  t.is(
    said,
    `registered address=${address} size=1048576 offset=0 features=0xb000 errno=0\n`,
    'exactly one mapping',
  );
  t.deepEqual(parseShimStatus(said), { outcome: 'registered', errno: 0, mappings: 1 });
});

test('pages that are to be protected from the start are, and the program can write to them', (t) => {
  const status = join(folder, 'from-start');
  const { stdout, stderr } = run({ status, ramSetting: ram, fromStart: true });
  t.is(stderr, '');
  t.is(stdout.split(' ')[0], '7');
  const said = parseShimStatus(readFileSync(status, 'utf8'));
  t.deepEqual(said, { outcome: 'protected', errno: 0, mappings: 1 });
});

test('a failure is said in the status and on stderr, and the program runs on', (t) => {
  const status = join(folder, 'failed');
  // No free descriptor: neither userfaultfd nor the status file can be opened.
  const none = run({ status, ramSetting: ram, spare: 0 });
  t.is(none.stdout.split(' ')[0], '7');
  t.regex(none.stderr, /memory-shim: failed:userfaultfd: Too many open files/);
  t.regex(none.stderr, /memory-shim: \/.*failed: Too many open files/);
  const lost = run({ status: '/nonexistent/status', ramSetting: ram });
  t.is(lost.stdout.split(' ')[0], '7');
  t.regex(lost.stderr, /memory-shim: \/nonexistent\/status: No such file or directory/);
});

test('without settings, or for another file, the shim does nothing', (t) => {
  const status = join(folder, 'none');
  for (const options of [{}, { status }, { status, ramSetting: join(folder, 'absent') }]) {
    const { stdout, stderr } = run(options);
    t.is(stdout.split(' ')[0], '7');
    t.is(stderr, '');
    t.throws(() => readFileSync(status), { code: 'ENOENT' });
  }
});
