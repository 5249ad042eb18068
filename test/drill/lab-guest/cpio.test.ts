import test from 'ava';
import { type CpioEntry, writeCpio } from '../../../drill/lab-guest/cpio.ts';

const entries: CpioEntry[] = [
  { kind: 'folder', name: 'dev', mode: 0o755 },
  { kind: 'char-device', name: 'dev/console', mode: 0o600, major: 5, minor: 1 },
  { kind: 'file', name: 'a', mode: 0o644, data: Buffer.from('x') },
  { kind: 'file', name: 'bin/prog', mode: 0o755, data: Buffer.alloc(4097, 7) },
  { kind: 'file', name: 'empty', mode: 0o600, data: Buffer.alloc(0) },
  { kind: 'link', name: 'bin/sh', target: 'busybox' },
];

test('what is written can be read as the newc format says', (t) => {
  const read = readCpio(writeCpio(entries));
  t.deepEqual(
    read.map(({ name }) => name),
    [...entries.map(({ name }) => name), 'TRAILER!!!'],
  );
  t.deepEqual(
    read.slice(0, -1).map(({ mode }) => mode.toString(8)),
    ['40755', '20600', '100644', '100755', '100600', '120777'],
  );
  t.deepEqual([read[1]!.major, read[1]!.minor], [5, 1]);
  t.is(read[2]!.data.toString(), 'x');
  t.deepEqual(read[3]!.data, Buffer.alloc(4097, 7));
  t.is(read[4]!.data.length, 0);
  t.is(read[5]!.data.toString(), 'busybox');
  t.is(new Set(read.slice(0, -1).map(({ inode }) => inode)).size, entries.length);
});

test('the same entries give the same bytes', (t) => {
  t.deepEqual(writeCpio(entries), writeCpio(structuredClone(entries)));
});

test('a name can be there only once', (t) => {
  t.throws(() => writeCpio([entries[0]!, entries[0]!]), { message: /twice/ });
});

/** Written from the kernel's description of the format, not from the writer. */
function readCpio(archive: Buffer) {
  const found = [];
  for (let at = 0; at < archive.length; ) {
    if (archive.toString('latin1', at, at + 6) !== '070701') throw new Error(`no magic at ${at}`);
    const field = (index: number) =>
      Number.parseInt(archive.toString('latin1', at + 6 + index * 8, at + 14 + index * 8), 16);
    const nameStart = at + 110;
    const nameEnd = nameStart + field(11);
    if (archive[nameEnd - 1] !== 0) throw new Error('name without an end');
    const dataStart = Math.ceil(nameEnd / 4) * 4;
    const data = archive.subarray(dataStart, dataStart + field(6));
    found.push({
      inode: field(0),
      mode: field(1),
      major: field(9),
      minor: field(10),
      name: archive.toString('latin1', nameStart, nameEnd - 1),
      data,
    });
    at = Math.ceil((dataStart + data.length) / 4) * 4;
  }
  return found;
}
