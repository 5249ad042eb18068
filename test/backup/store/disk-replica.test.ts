import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmdirSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { DiskReplica } from '../../../backup/store/disk-replica.ts';
import { DiskImage } from '../../../shared/disk/disk-image.ts';
import { epoch } from '../../../shared/ids.ts';
import { Random } from '../../../shared/random.ts';
import { mountTmpfs } from '../../tmpfs.ts';
import { changeDisk, damagesOf, type ScriptedDisk, scriptedDiskBytes } from './scripted-disk.ts';

/** What a backup's disk does with journals and disks that are not as they should be. */

const first = epoch(1);

interface Case {
  readonly folder: string;
  readonly image: string;
  readonly journal: string;
  readonly disk: ScriptedDisk;
  open(writable?: boolean): DiskReplica;
}

/** `imageFolder`: for the image alone. */
async function withReplica(
  work: (at: Case) => Promise<void> | void,
  imageFolder?: string,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'understudy-replica-'));
  const image = join(imageFolder ?? folder, 'disk.raw');
  writeFileSync(image, '');
  truncateSync(image, scriptedDiskBytes);
  const opened: DiskReplica[] = [];
  const open = (writable = true): DiskReplica => {
    const replica = new DiskReplica({
      ...{ folder: join(folder, 'journal'), journalBytesMax: 100_000 },
      images: [DiskImage.open(image, writable, false)],
    });
    opened.push(replica);
    return replica;
  };
  const disk = changeDisk(new Random(5), new Uint8Array(scriptedDiskBytes), 4);
  try {
    await work({ folder, image, journal: join(folder, 'journal', 'epoch-1'), disk, open });
  } finally {
    for (const replica of opened) replica.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The journal of one epoch, sealed. */
function sealed(replica: DiskReplica, disk: ScriptedDisk) {
  for (const body of disk.bodies) replica.add(first, body);
  return replica.reference(first, disk.seal);
}

test('a journal cut off or damaged at any byte is refused before the disk is touched, whichever process wrote it', async (t) => {
  await withReplica(async ({ image, journal, open }) => {
    const disk = changeDisk(new Random(5), new Uint8Array(scriptedDiskBytes), 7, 60);
    const writer = open();
    const reference = sealed(writer, disk);
    const whole = readFileSync(journal);
    const untouched = readFileSync(image);
    t.true(disk.bodies.length > 2 && whole.length > 300 && whole.length < 1000);
    for (const [who, replica] of [
      ['the writer', writer],
      ['a later process', open()],
    ] as const) {
      for (const [what, damage] of damagesOf(whole)) {
        writeFileSync(journal, damage);
        const said = await replica.apply(first, reference).catch((error) => error.code);
        const isTouched = !readFileSync(image).equals(untouched);
        if (said !== 'E_REPLICA_CORRUPT' || isTouched)
          t.fail(`${what}, ${who}: ${said}, ${isTouched}`);
      }
      rmSync(journal);
      await t.throwsAsync(replica.apply(first, reference), { code: 'E_REPLICA_CORRUPT' });
      mkdirSync(journal);
      await t.throwsAsync(replica.apply(first, reference), {
        ...{ code: 'E_REPLICA_CORRUPT', message: /EISDIR/ },
      });
      rmdirSync(journal);
      t.true(readFileSync(image).equals(untouched));
      writeFileSync(journal, whole);
      await replica.apply(first, reference);
      t.true(readFileSync(image).equals(disk.image));
      writeFileSync(image, untouched);
    }
  });
});

test('what waited in a damaged journal does not go to the disk ahead of its epoch either', async (t) => {
  await withReplica(async ({ image, journal, disk, open }) => {
    const replica = open();
    const untouched = readFileSync(image);
    for (const body of disk.bodies) replica.add(first, body);
    const whole = readFileSync(journal);
    const damaged = Buffer.from(whole);
    damaged[whole.length - 1]! ^= 1;
    writeFileSync(journal, damaged);
    await t.throwsAsync(replica.goInPlace(first), { code: 'E_REPLICA_CORRUPT' });
    t.true(readFileSync(image).equals(untouched));
  });
});

test('an epoch whose changes are not those of its seal is refused', async (t) => {
  await withReplica(({ disk, open }) => {
    const replica = open();
    sealed(replica, disk);
    const { seal } = disk;
    for (const wrong of [
      { ...seal, bytes: seal.bytes + 1 },
      { ...seal, frameCount: seal.frameCount - 1 },
      { ...seal, digest: seal.digest ^ 1n },
    ]) {
      t.throws(() => replica.reference(first, wrong), { code: 'E_EPOCH_CORRUPT' });
    }
    t.throws(() => replica.reference(epoch(2), seal), { code: 'E_EPOCH_CORRUPT' });
  });
});

test('a change outside its disk or of a disk that is not there is refused whole', async (t) => {
  await withReplica(({ journal, disk, open }) => {
    const replica = open();
    const body = Buffer.from(disk.bodies[0]!);
    for (const [at, value] of [
      [0, 1n],
      [8, BigInt(scriptedDiskBytes)],
      [16, 0n],
      [16, 2n ** 63n],
    ] as const) {
      const wrong = Buffer.from(body);
      if (at === 0) wrong.writeUInt32LE(Number(value), 0);
      else wrong.writeBigUInt64LE(value, at);
      t.throws(() => replica.add(first, wrong), { code: 'E_FRAME_CORRUPT' });
    }
    t.throws(() => readFileSync(journal), { code: 'ENOENT' });
  });
});

test('a disk that can not be written is an error by its name, and what is sealed stays', async (t) => {
  await withReplica(async ({ image, disk, open }) => {
    const replica = open(false);
    const reference = sealed(replica, disk);
    await t.throwsAsync(replica.apply(first, reference), {
      code: 'E_DISK_IO',
      message: /disk\.raw/,
    });
    const mended = open();
    await mended.apply(first, reference);
    t.true(readFileSync(image).equals(disk.image));
  });
});

test('a full disk loses nothing: what is sealed is applied when there is room', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'understudy-full-'));
  const unmount = mountTmpfs(folder, '64k');
  try {
    await withReplica(async ({ image, disk, open }) => {
      const replica = open();
      const reference = sealed(replica, disk);
      const filler = join(folder, 'filler');
      writeFileSync(filler, Buffer.alloc(60 * 1024));
      await t.throwsAsync(replica.apply(first, reference), {
        ...{ code: 'E_DISK_IO', message: /ENOSPC/ },
      });
      rmSync(filler);
      await replica.apply(first, reference);
      t.true(readFileSync(image).equals(disk.image));
    }, folder);
  } finally {
    unmount();
    rmdirSync(folder);
  }
});

test('a journal that has no room is an error, and takes nothing', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'understudy-full-'));
  const unmount = mountTmpfs(folder, '16k');
  try {
    const image = join(folder, 'disk.raw');
    writeFileSync(image, '');
    truncateSync(image, scriptedDiskBytes);
    const replica = new DiskReplica({
      ...{ folder: join(folder, 'journal'), journalBytesMax: 2 ** 20 },
      images: [DiskImage.open(image, true, false)],
    });
    const { bodies } = changeDisk(new Random(6), new Uint8Array(scriptedDiskBytes), 40);
    t.throws(
      () => {
        for (const body of bodies) replica.add(first, body);
      },
      { code: 'E_DISK_JOURNAL', message: /ENOSPC/ },
    );
    replica.dropAllBut(null);
    replica.close();
  } finally {
    unmount();
    rmdirSync(folder);
  }
});

test('a journal that can not be made is an error that says where', async (t) => {
  await withReplica(({ journal, disk, open }) => {
    const replica = open();
    mkdirSync(journal);
    t.throws(() => replica.add(first, disk.bodies[0]!), {
      ...{ code: 'E_DISK_JOURNAL', message: /epoch-1/ },
    });
    rmSync(journal, { recursive: true });
  });
});

test('journals wait up to their bound, all epochs together', async (t) => {
  await withReplica(({ disk, open }) => {
    const replica = open();
    t.false(replica.isFull(100_000));
    t.true(replica.isFull(100_001));
    for (const body of disk.bodies) replica.add(first, body);
    for (const body of disk.bodies) replica.add(epoch(2), body);
    const waiting = 2 * (disk.seal.bytes + 4 * disk.bodies.length);
    t.false(replica.isFull(100_000 - waiting));
    t.true(replica.isFull(100_001 - waiting));
    replica.dropAllBut(epoch(2));
    t.false(replica.isFull(100_000 - waiting / 2));
    replica.dropAllBut(null);
    t.false(replica.isFull(100_000));
  });
});
