import { readFileSync } from 'node:fs';
import test from 'ava';
import { readElfNeeds, readModuleDepends } from '../../../drill/lab-guest/elf.ts';

test('the libraries and the loader of a program are found', (t) => {
  const needs = readElfNeeds(readFileSync(process.execPath));
  t.is(needs.interpreter, '/lib64/ld-linux-x86-64.so.2');
  t.true(needs.libraries.includes('libc.so.6'), needs.libraries.join());
});

test('what is no ELF file of this kind is refused', (t) => {
  const good = readFileSync(process.execPath).subarray(0, 4096);
  t.throws(() => readElfNeeds(Buffer.from('#!/bin/sh\n'.repeat(20))), { message: /not a 64-bit/ });
  t.throws(() => readElfNeeds(good.subarray(0, 40)), { message: /not a 64-bit/ });
  const bits32 = Buffer.from(good);
  bits32[4] = 1;
  t.throws(() => readElfNeeds(bits32), { message: /not a 64-bit/ });
});

test('the modules that a module needs are found', (t) => {
  t.deepEqual(readModuleDepends(moduleWith('license=GPL\0depends=virtio_ring,virtio\0name=x\0')), [
    'virtio_ring',
    'virtio',
  ]);
  t.deepEqual(readModuleDepends(moduleWith('depends=\0')), []);
  t.deepEqual(readModuleDepends(moduleWith('license=GPL\0')), []);
});

/** An ELF file with the sections: null, names, .modinfo. */
function moduleWith(info: string): Buffer {
  const names = '\0.shstrtab\0.modinfo\0';
  const file = Buffer.alloc(64 + 3 * 64 + names.length + info.length);
  const namesAt = 64 + 3 * 64;
  const infoAt = namesAt + names.length;
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1]);
  file.writeBigUInt64LE(64n, 40);
  file.writeUInt16LE(64, 58);
  file.writeUInt16LE(3, 60);
  file.writeUInt16LE(1, 62);
  const section = (index: number, name: number, at: number, bytes: number) => {
    file.writeUInt32LE(name, 64 + index * 64);
    file.writeBigUInt64LE(BigInt(at), 64 + index * 64 + 24);
    file.writeBigUInt64LE(BigInt(bytes), 64 + index * 64 + 32);
  };
  section(1, 1, namesAt, names.length);
  section(2, 11, infoAt, info.length);
  file.write(names, namesAt, 'latin1');
  file.write(info, infoAt, 'latin1');
  return file;
}
