import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import {
  basisOf,
  changeRegionBytes,
  differingRegions,
  type KnownChanges,
} from '../../../shared/change-basis.ts';
import { ChangeMap } from '../../../shared/disk/change-map.ts';
import { ChangeMapFile, type MapRecord } from '../../../shared/disk/change-map-file.ts';
import { DiskImage } from '../../../shared/disk/disk-image.ts';
import { Random } from '../../../shared/random.ts';
import {
  bitmapBytes,
  diskBytes,
  MadeUpHost,
  mapFailed,
  regionCount,
  tried,
} from './made-up-host.ts';

const [first, second] = ['00000000000000aa', '00000000000000bb'];

/** No region in which they differ is left out. How many are named; all where nothing is known. */
function namedRegions(
  t: ExecutionContext,
  one: MadeUpHost,
  other: MadeUpHost,
  known = other.map.known,
) {
  const named = differingRegions(one.map.known, known);
  if (named === undefined) return regionCount;
  for (let region = 0; region < regionCount; region++) {
    if (named.includes(region)) continue;
    t.is(one.disk[region], other.disk[region], `region ${region} differs, named are ${[...named]}`);
  }
  return named.length;
}

test('whatever two hosts did, no region in which their disks differ is left out', (t) => {
  let spared = 0;
  for (let seed = 1; seed <= 400; seed++) {
    const random = new Random(seed);
    const [a, b] = [new MadeUpHost(random), new MadeUpHost(random)];
    for (const host of [a, b]) host.failsOneIn = random.below(2) === 0 ? 0 : 1 + random.below(4);
    let value = 0;
    const writes = (host: MadeUpHost, epoch: number | undefined) => {
      for (let n = random.below(4); n > 0; n--) {
        value += 1;
        host.write(random.below(random.below(2) === 0 ? 3 : regionCount), value, epoch);
      }
    };
    writes(a, undefined);
    // A session of a with b: b holds each epoch exactly, some of them are acknowledged.
    a.map.sessionBegins();
    const epochs: number[][] = [[]];
    let acked = 0;
    const last = 2 + random.below(9);
    for (let epoch = 1; epoch <= last; epoch++) {
      writes(a, epoch);
      epochs[epoch] = [...a.disk];
      if (random.below(4) === 0) continue;
      acked = epoch;
      const basis = basisOf(first, acked, false);
      if (!a.map.isWorthSyncing(basis) && random.below(3) > 0) continue;
      writes(a, epoch + 1);
      a.sync();
      tried(() => a.map.synced(basis));
    }
    writes(a, last + 1);
    if (random.below(3) === 0) a.start();
    if (random.below(3) === 0) a.losePower(random);
    const held = Math.max(1, acked, last - random.below(3));
    // Epochs are not synced there.
    b.disk = [...epochs[held]!];
    if (random.below(2) === 0) {
      // The backup comes back to its primary, with what it held.
      const holds: KnownChanges = { basis: basisOf(first, held, true), regions: new Uint32Array() };
      const named = namedRegions(t, a, b, holds);
      if (named < regionCount) spared += 1;
      continue;
    }
    // Or it took over, and its primary comes back.
    while (!tried(() => b.map.startFrom(basisOf(first, held, true)))) b.failsOneIn += 1;
    writes(b, undefined);
    const what = random.below(4);
    if (what < 2) {
      b.sync();
      tried(() => b.map.synced(null));
      writes(b, undefined);
      if (random.below(2) === 0) b.losePower(random);
    } else if (what === 2) {
      b.losePower(random);
    }
    b.map.sessionBegins();
    writes(b, 1);
    if (namedRegions(t, b, a) < regionCount) spared += 1;
  }
  t.true(spared > 120, `${spared} of 400`);
});

test('what is of two sessions, or may be of two guests, is compared whole', (t) => {
  const none = new Uint32Array();
  const known = (session: string, epoch: number, isExact: boolean): KnownChanges => ({
    ...{ basis: basisOf(session, epoch, isExact), regions: none },
  });
  const goneOn = known(first, 5, false);
  t.deepEqual(differingRegions(goneOn, known(first, 5, true)), none);
  t.deepEqual(differingRegions(known(first, 6, true), goneOn), none);
  t.is(differingRegions(goneOn, known(first, 4, true)), undefined);
  t.is(differingRegions(goneOn, known(second, 5, true)), undefined);
  t.is(differingRegions(goneOn, goneOn), undefined);
  t.is(differingRegions(known(first, 5, true), known(first, 6, true)), undefined);
  t.is(differingRegions(null, goneOn), undefined);
  t.is(differingRegions(goneOn, null), undefined);
});

const identity = { sizeBytes: diskBytes, device: 1n, inode: 2n, bornNs: 3n };

test('a map that is cut off or damaged at any byte says nothing, not what the one before it said', (t) => {
  const folder = mkdtempSync('/dev/shm/understudy-map-');
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, 'guest', 'disk-changes-0');
  const open = (of = identity) => {
    const { file, found } = ChangeMapFile.open(path, of, bitmapBytes);
    file.close();
    return found;
  };
  const { file, found } = ChangeMapFile.open(path, identity, bitmapBytes);
  t.is(found.basis, null);
  t.false(file.isAboutImage);
  const records: MapRecord[] = [1, 2].map((epoch) => ({
    ...{ basis: basisOf(first, epoch, epoch === 2), bits: Uint8Array.of(epoch, epoch) },
  }));
  for (const record of records) file.write(record);
  file.close();
  t.deepEqual(open().basis, records[1]!.basis);
  t.deepEqual([...open().bits], [2, 2]);
  for (const other of [{ inode: 3n }, { device: 2n }, { bornNs: 4n }, { sizeBytes: 4096 }]) {
    t.is(open({ ...identity, ...other }).basis, null, 'a map of another image');
  }
  // The second record is in the slot at 0, the first one behind it.
  const whole = readFileSync(path);
  const recordBytes = 80 + bitmapBytes + 32;
  for (let at = 0; at < recordBytes; at++) {
    for (const slot of [0, 4096]) {
      const damaged = Buffer.from(whole);
      damaged[slot + at]! ^= 1 << (at & 7);
      writeFileSync(path, damaged);
      t.is(open().basis, null, `byte ${slot + at}`);
    }
  }
  for (let length = 0; length < whole.length; length++) {
    // Between the records there is nothing.
    if (length === recordBytes + 10) length = 4090;
    writeFileSync(path, whole.subarray(0, length));
    t.is(open().basis, null, `cut off at ${length}`);
  }
  // Nothing of it comes back by itself: what is written next counts.
  const { file: mended } = ChangeMapFile.open(path, identity, bitmapBytes);
  mended.write(records[0]!);
  mended.close();
  t.deepEqual(open().basis, records[0]!.basis);
});

test('a change is remembered before it is made, and refused where that can not be', (t) => {
  const written: MapRecord[] = [];
  let isBroken = false;
  const file = {
    isAboutImage: true,
    write(record: MapRecord) {
      if (isBroken) throw Object.assign(new Error('no'), { code: 'EIO' });
      written.push({ ...record, bits: record.bits.slice() });
    },
    close() {},
  };
  const found = { basis: basisOf(first, 1, false), bits: new Uint8Array(bitmapBytes) };
  const map = new ChangeMap(file, found, diskBytes, () => 0);
  map.note(changeRegionBytes - 1, 2, 1);
  t.deepEqual(
    written.map(({ bits }) => [...bits]),
    [[3, 0]],
  );
  map.note(0, 4096, 1);
  t.is(written.length, 1, 'what is remembered costs nothing more');
  isBroken = true;
  t.throws(() => map.note(5 * changeRegionBytes, 1, 1), { code: 'EIO' });
  t.throws(() => map.note(5 * changeRegionBytes, 1, 1), { code: 'EIO' });
  isBroken = false;
  map.note(5 * changeRegionBytes, 1, 1);
  t.deepEqual([...written.at(-1)!.bits], [3 | 32, 0]);
});

test('a map that has no room claims nothing, and refuses no change', (t) => {
  const written: MapRecord[] = [];
  let isFull = true;
  const file = {
    isAboutImage: true,
    write(record: MapRecord) {
      if (isFull) throw mapFailed(false);
      written.push({ ...record, bits: record.bits.slice() });
    },
    close() {},
  };
  const nothing = { basis: null, bits: new Uint8Array(bitmapBytes) };
  const map = new ChangeMap(file, nothing, diskBytes, () => 0);
  map.sessionBegins();
  const acked = basisOf(first, 3, false);
  t.throws(() => map.synced(acked), { code: 'E_DISK_MAP' });
  t.is(map.known, null);
  map.note(0, 4096, 4);
  t.true(map.isWorthSyncing(acked), 'it is tried again');
  isFull = false;
  map.synced(acked);
  t.deepEqual([...written.at(-1)!.bits], [1, 0]);
  isFull = true;
  map.note(0, 4096, 5);
  t.throws(() => map.note(changeRegionBytes, 4096, 5), { code: 'E_DISK_MAP' });
  map.note(0, 4096, 5);
});

test('an image that is made anew is another one, also where it gets the old inode', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'understudy-map-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, 'a.raw');
  const identityOf = () => {
    const image = DiskImage.open(path, false);
    const { identity: found } = image;
    image.close();
    return found;
  };
  writeFileSync(path, 'x');
  const first = identityOf();
  writeFileSync(path, 'another content');
  const { bornNs: second } = identityOf();
  rmSync(path);
  writeFileSync(path, 'x');
  t.notDeepEqual(identityOf(), first);
  // Where the file system says when a file was made; else every look sees another image.
  t.true(second === first.bornNs || second !== identityOf().bornNs);
});
