import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import test from 'ava';
import { emptyImage } from '../../shared/disk/disk-fixture.ts';

const mib = 2 ** 20;
const floodMib = 256;
/** What heaps and allocators may keep. The window is in what was there before. */
const allowanceBytes = 96 * mib;

test('a backup keeps nothing of an epoch that is not committed in memory, as the system counts it', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'understudy-flood-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  emptyImage(folder, 'b.raw', 64 * mib);
  const child = fileURLToPath(new URL('./flooded-replica-child.js', import.meta.url));
  const args = ['--expose-gc', child, folder, String(floodMib)];
  const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 120_000 });
  const { beforeBytes, peakBytes, waitingBytes } = JSON.parse(stdout);
  t.true(waitingBytes >= floodMib * mib, `${waitingBytes} bytes wait in the journal`);
  const grownBytes = peakBytes - beforeBytes;
  t.log(`${Math.round(peakBytes / mib)} MiB, ${Math.round(grownBytes / mib)} more than before`);
  t.true(grownBytes < allowanceBytes, `${grownBytes} bytes more`);
});
