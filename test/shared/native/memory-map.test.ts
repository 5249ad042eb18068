import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { RamFile } from '../../../shared/memory/ram-file.ts';
import { deviceName, fileMappings, parseFileMappings } from '../../../shared/native/memory-map.ts';

test('only the named file’s ranges are found, in file order, neighbours joined', (t) => {
  const maps = [
    '7f0000400000-7f0000800000 rw-s 00400000 00:1b 42                         /dev/shm/g.ram',
    '7f0000000000-7f0000200000 rw-s 00000000 00:1b 42                         /dev/shm/g.ram',
    '7f0000200000-7f0000400000 rw-s 00200000 00:1b 42                         /dev/shm/g.ram',
    '7f0001000000-7f0001001000 r--s 00000000 00:1b 42                         /dev/shm/g.ram',
    '7f0002000000-7f0002001000 rw-s 00000000 00:1c 42                         /mnt/g.ram',
    '7f0003000000-7f0003001000 rw-s 00000000 00:1b 43                         /dev/shm/other',
    '7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0                          [stack]',
    '',
  ].join('\n');
  const found = parseFileMappings(maps, '00:1b', 42).filter((range) => range.writable);
  t.deepEqual(found, [
    {
      start: 0x7f0000000000,
      end: 0x7f0000800000,
      fileOffset: 0,
      shared: true,
      writable: true,
    },
  ]);
  t.is(parseFileMappings(maps, '00:1b', 42).length, 2);
  t.deepEqual(parseFileMappings(maps, '00:1d', 42), []);
});

test('this process’s own mapping of a file is where the kernel says it is', (t) => {
  const folder = mkdtempSync('/dev/shm/us-map-');
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const ram = RamFile.create(join(folder, 'ram'), 2 ** 20);
  t.deepEqual(fileMappings(process.pid, ram.path), []);
  ram.copyPages(Uint32Array.of(3), 1, new Uint8Array(4096), 0);
  const [range, ...more] = fileMappings(process.pid, ram.path);
  t.is(more.length, 0);
  t.is(range!.end - range!.start, 2 ** 20);
  t.false(range!.writable);
  t.regex(deviceName(statSync(ram.path).dev), /^00:[0-9a-f]{2,}$/);
  ram.close();
});
