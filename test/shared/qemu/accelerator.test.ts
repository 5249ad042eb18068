import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { isUnderstudyError } from '../../../shared/errors.ts';
import { chooseAccelerator } from '../../../shared/qemu/accelerator.ts';

const folder = mkdtempSync(join(tmpdir(), 'us-accelerator-'));
test.after.always(() => rmSync(folder, { recursive: true, force: true }));

/** A program in QEMU's place. */
function fakeQemu(name: string, script: string): string {
  const path = join(folder, name);
  writeFileSync(path, `#!/bin/sh\n${script}\n`);
  chmodSync(path, 0o755);
  return path;
}

const newFolder = (): string => mkdtempSync(join(folder, 'cache-'));
const hasKvm = existsSync('/dev/kvm');

test('the choice of this host is bounded in time, explained, and kept until it boots', async (t) => {
  const cache = newFolder();
  const first = await chooseAccelerator('auto', cache);
  t.true(['kvm', 'tcg'].includes(first.accelerator));
  t.regex(first.why, /KVM/);
  t.deepEqual(await chooseAccelerator('auto', cache), first);
  if (!hasKvm) return;
  const path = join(cache, 'accelerator.json');
  const kept = JSON.parse(readFileSync(path, 'utf8'));
  const never = fakeQemu('never', 'exit 33');
  writeFileSync(path, JSON.stringify({ ...kept, accelerator: 'tcg', why: 'x', qemu: never }));
  t.is((await chooseAccelerator('auto', cache, never)).why, 'x');
  writeFileSync(path, JSON.stringify({ ...kept, bootId: 'another', qemu: never }));
  t.is((await chooseAccelerator('auto', cache, never)).accelerator, 'kvm');
});

test('KVM is taken only where the test program ended well; else TCG, with the reason', async (t) => {
  if (!hasKvm) {
    const choice = await chooseAccelerator('auto', newFolder());
    t.deepEqual(choice, { accelerator: 'tcg', why: "KVM can't be used: /dev/kvm: ENOENT" });
    return;
  }
  const good = await chooseAccelerator('auto', newFolder(), fakeQemu('good', 'exit 33'));
  t.is(good.accelerator, 'kvm');
  const refusing = fakeQemu('refusing', 'echo "failed to initialize kvm: no" >&2; exit 1');
  const bad = await chooseAccelerator('auto', newFolder(), refusing);
  t.deepEqual(bad, {
    accelerator: 'tcg',
    why: 'KVM did not run a test program: failed to initialize kvm: no',
  });
  const hanging = fakeQemu('hanging', 'exec sleep 60');
  const slow = await chooseAccelerator('auto', newFolder(), hanging);
  t.is(slow.accelerator, 'tcg');
  t.regex(slow.why, /not done after 2500 ms/);
});

test('what was asked for is taken without a probe; a QEMU that is missing is said', async (t) => {
  t.is((await chooseAccelerator('tcg', newFolder(), 'no-such-qemu')).accelerator, 'tcg');
  if (!hasKvm) {
    const error = await t.throwsAsync(chooseAccelerator('kvm', newFolder()));
    t.true(isUnderstudyError(error, 'E_ACCELERATOR_UNAVAILABLE'));
    return;
  }
  t.is((await chooseAccelerator('kvm', newFolder())).accelerator, 'kvm');
  const error = await t.throwsAsync(chooseAccelerator('auto', newFolder(), 'no-such-qemu'));
  t.true(isUnderstudyError(error, 'E_QEMU_MISSING'), String(error));
});
