import { copyFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { DiskImage } from '../../../shared/disk/disk-image.ts';
import { epoch } from '../../../shared/ids.ts';
import { diskChanges } from '../../../shared/wire/disk-body.ts';
import { withServedDisk } from './disk-fixture.ts';

/** The log of changes is what makes another disk the same: its order, its epochs, its bounds. */

const mib = 2 ** 20;
const sizeBytes = 32 * mib;
const frameBytes = 64 * 1024;

test('the log of an epoch makes a copy of the disk the disk at that barrier', async (t) => {
  await withServedDisk(sizeBytes, async ({ folder, image, server, qemuIo }) => {
    const replica = join(folder, 'b.raw');
    copyFileSync(image, replica);
    const bodies: { epoch: number; body: Uint8Array }[] = [];
    server.startLog(epoch(1), frameBytes, (number, body, sent) => {
      bodies.push({ epoch: number, body: body.slice() });
      sent();
    });
    const copy = DiskImage.open(replica, true);
    for (let number = 1; number <= 3; number++) {
      await qemuIo(
        `write -P ${number} ${number}M 300k`,
        `write -P ${number + 10} 512 1000`,
        `write -P ${number + 20} 700 100`,
        `write -z ${number}100k 10k`,
        `discard ${number}200k 8k`,
      );
      server.barrier(epoch(number + 1));
      const atBarrier = readFileSync(image);
      await qemuIo(`write -P 99 0 64k`);
      await server.seal();
      for (const { body } of bodies.filter((one) => one.epoch === number)) {
        t.true(body.byteLength <= frameBytes);
        for (const change of diskChanges(body, [sizeBytes])) {
          if (change.data === undefined) copy.zero(change.offset, change.length, true);
          else copy.write(change.offset, change.data);
        }
      }
      t.true(readFileSync(replica).equals(atBarrier), `epoch ${number}`);
    }
    copy.close();
    const order = bodies.map((one) => one.epoch);
    t.deepEqual(
      order,
      order.toSorted((a, b) => a - b),
    );
    server.stopLog();
  });
});

test('changes wait while what was logged has not left, and go on when it has', async (t) => {
  await withServedDisk(256 * mib, async ({ server, qemuIo }) => {
    const held: (() => void)[] = [];
    let bytes = 0;
    server.startLog(epoch(1), mib, (_, body, sent) => {
      bytes += body.byteLength;
      held.push(sent);
    });
    let isDone = false;
    const writing = qemuIo('write -P 1 0 24M', 'write -P 2 24M 24M', 'write -P 3 48M 24M').then(
      () => {
        isDone = true;
      },
    );
    const deadline = Date.now() + 120_000;
    while (bytes < 32 * mib && Date.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    await new Promise((resolve) => setTimeout(resolve, 200));
    t.false(isDone);
    t.true(bytes >= 32 * mib && bytes < 66 * mib, `${bytes} bytes are logged`);
    const releasing = setInterval(() => {
      for (const sent of held.splice(0)) sent();
    }, 5);
    await writing;
    clearInterval(releasing);
    server.stopLog();
  });
});

test('a log that is stopped holds nobody up', async (t) => {
  await withServedDisk(256 * mib, async ({ server, qemuIo }) => {
    server.startLog(epoch(1), mib, () => {});
    const writing = qemuIo('write -P 1 0 30M', 'write -P 2 30M 30M', 'write -P 3 60M 30M');
    await new Promise((resolve) => setTimeout(resolve, 300));
    server.stopLog();
    await t.notThrowsAsync(writing);
  });
});

test('pages that are copied into the log are the disk, whatever is written beside them', async (t) => {
  await withServedDisk(sizeBytes, async ({ image, server, qemuIo }) => {
    await qemuIo('write -P 4 0 2M', 'write -P 5 4M 1M');
    const replica = Buffer.alloc(sizeBytes, 0xee);
    server.startLog(epoch(1), frameBytes, (_, body, sent) => {
      for (const { offset, length, data } of diskChanges(body, [sizeBytes])) {
        if (data === undefined) replica.fill(0, offset, offset + length);
        else replica.set(data, offset);
      }
      sent();
    });
    const pages = Uint32Array.from({ length: sizeBytes / 4096 }, (_, page) => page);
    const writing = qemuIo('write -P 6 1M 3M', 'write -z 5M 1M', 'write -P 7 100 9000');
    for (let at = 0; at < pages.length; at += 512)
      await server.copy(0, pages.subarray(at, at + 512));
    await writing;
    await server.seal();
    t.true(replica.equals(readFileSync(image)));
    server.stopLog();
  });
});
