import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import {
  mkdtempSync,
  readFileSync,
  rmdirSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { createConnection, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { DiskServer } from '../../../shared/disk/disk-server.ts';
import type { UnderstudyError } from '../../../shared/errors.ts';
import { epoch, sessionId } from '../../../shared/ids.ts';
import { mountTmpfs } from '../../tmpfs.ts';
import { emptyImage, type ServedDisk, withServedDisk } from './disk-fixture.ts';

/** Debian's NBD clients judge what the disk server says and does. */

const mib = 2 ** 20;

test('nbdinfo finds the size, the abilities, and what is allocated', async (t) => {
  await withServedDisk(64 * mib + 512, async ({ judge, uri, qemuIo }) => {
    await qemuIo('write -P 1 1M 64k', 'write -P 2 8M 4k');
    const { exports } = JSON.parse(await judge('nbdinfo', '--json', uri));
    t.like(exports[0], {
      'export-size': 64 * mib + 512,
      is_read_only: false,
      can_flush: true,
      can_fua: true,
      can_trim: true,
      can_zero: true,
      can_multi_conn: true,
    });
    const map = JSON.parse(await judge('nbdinfo', '--map', '--json', uri));
    const data = map.filter(({ type }: { type: number }) => type === 0);
    t.deepEqual(
      data.map(({ offset, length }: { offset: number; length: number }) => [offset, length]),
      [
        [mib, 64 * 1024],
        [8 * mib, 4096],
      ],
    );
    t.regex(await judge('nbdinfo', '--list', uri.replace('/disk0', '/')), /export="disk0"/);
  });
});

test('what qemu-io writes, zeroes and discards is what it reads, and what the file holds', async (t) => {
  await withServedDisk(16 * mib, async ({ image, qemuIo }) => {
    await qemuIo(
      'write -P 5 0 2M',
      'write -P 7 1000001 777',
      'write -z 64k 64k',
      'write -z -u 256k 64k',
      'discard 512k 128k',
      'write -f -P 9 3M 4k',
      'flush',
    );
    const out = await qemuIo(
      'read -P 5 0 64k',
      'read -P 0 64k 64k',
      'read -P 0 256k 64k',
      'read -P 0 512k 128k',
      'read -P 7 1000001 777',
      'read -P 5 1000778 1k',
      'read -P 9 3M 4k',
    );
    t.notRegex(out, /Pattern verification failed/);
    const file = readFileSync(image);
    t.true(file.subarray(1000001, 1000778).every((byte) => byte === 7));
    t.true(file.subarray(512 * 1024, 640 * 1024).every((byte) => byte === 0));
    t.is(file.length, 16 * mib);
    t.true(statSync(image).blocks * 512 < 4 * mib, 'holes stay holes');
  });
});

test('nbdcopy by four connections and qemu-img bring an image in and out whole', async (t) => {
  await withServedDisk(64 * mib, async ({ folder, image, uri, judge }) => {
    const source = join(folder, 'source.raw');
    const content = Buffer.alloc(64 * mib);
    for (let at = 0; at < content.length; at += 8192) content.writeUInt32LE((at * 40503) >>> 0, at);
    content.fill(0, 20 * mib, 40 * mib);
    writeFileSync(source, content);
    await judge('nbdcopy', '--connections=4', source, uri);
    t.true(readFileSync(image).equals(content));
    t.true(statSync(image).blocks * 512 <= 45 * mib, 'zeros are not stored');
    const back = join(folder, 'back.raw');
    await judge('qemu-img', 'convert', '-f', 'raw', '-O', 'raw', uri, back);
    t.true(readFileSync(back).equals(content));
    await judge('qemu-img', 'compare', '-f', 'raw', '-F', 'raw', uri, source);
    await judge('nbdcopy', '--connections=4', uri, join(folder, 'again.raw'));
    t.true(readFileSync(join(folder, 'again.raw')).equals(content));
  });
});

test('a request outside the disk and one that is too large are errors, and the next one is served', async (t) => {
  await withServedDisk(8 * mib, async (disk) => {
    const client = await RawClient.connect(disk);
    t.is(await client.ask(0, BigInt(8 * mib - 512), 1024), 22);
    t.is(await client.ask(1, BigInt(8 * mib), 512, Buffer.alloc(512)), 28);
    t.is(await client.ask(0, 2n ** 62n, 512), 22);
    t.is(await client.ask(0, 0n, 33 * mib), 75);
    t.is(await client.ask(1, 0n, 33 * mib, Buffer.alloc(33 * mib)), 75);
    t.is(await client.ask(99, 0n, 512), 22);
    t.is(await client.ask(7, 0n, 512), 22, 'block status was not negotiated');
    t.is(await client.ask(3, 0n, 0), 0);
    t.is(await client.ask(1, 3n, 5, Buffer.from('hello')), 0);
    client.socket.destroy();
    t.is(readFileSync(disk.image).toString('latin1', 3, 8), 'hello');
  });
});

test('a client that goes away in the middle of a write has written nothing', async (t) => {
  await withServedDisk(8 * mib, async (disk) => {
    for (const bytes of [10, 28, 28 + 5000]) {
      const client = await RawClient.connect(disk);
      const write = RawClient.request(1, 0n, 8192, Buffer.alloc(8192, 1));
      await new Promise<void>((resolve) =>
        client.socket.write(write.subarray(0, bytes), () => resolve()),
      );
      client.socket.destroy();
      await once(client.socket, 'close');
    }
    t.notRegex(await disk.qemuIo('read -P 0 0 8k'), /failed/);
  });
});

/** The thread tells by a message, which may come after the client's end. */
async function isToldOf(troubles: readonly UnderstudyError[]): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (troubles.length === 0 && Date.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

test('a file that became shorter is an I/O error, never silence', async (t) => {
  await withServedDisk(8 * mib, async ({ image, qemuIo, troubles }) => {
    truncateSync(image, mib);
    await t.throwsAsync(qemuIo('read 4M 4k'), { message: /Input\/output error/ });
    await isToldOf(troubles);
    t.regex(troubles[0]!.message, /reading .*EIO/);
  });
});

test('a full disk of the host is an error of the write, never silence', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'understudy-full-'));
  const unmount = mountTmpfs(folder, '4m');
  try {
    await withServedDisk(
      8 * mib,
      async ({ image, qemuIo, troubles }) => {
        t.notRegex(await qemuIo('write -P 5 0 1M', 'flush'), /failed/);
        t.deepEqual(troubles, []);
        await t.throwsAsync(qemuIo('write -P 6 1M 6M'), { message: /No space left on device/ });
        await isToldOf(troubles);
        const told = troubles.map(({ code, message }) => `${code} ${message}`);
        t.is(told.length, 1, 'an operator is told, once for all that fails in a while');
        t.regex(told[0]!, /E_DISK_IO writing .*a\.raw failed for the guest.*ENOSPC/);
        // The disk lives on: what was there is there, and what has room is taken.
        t.notRegex(await qemuIo('read -P 5 0 1M', 'write -P 7 0 64k', 'flush'), /failed/);
        t.true(
          readFileSync(image)
            .subarray(65536, mib)
            .every((byte) => byte === 5),
        );
      },
      folder,
    );
  } finally {
    unmount();
    rmdirSync(folder);
  }
});

test('a state folder without room costs the guest nothing before it must, and is told', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'understudy-full-'));
  const unmount = mountTmpfs(folder, '64k');
  const work = async ({ server, qemuIo, troubles }: ServedDisk) => {
    const filler = join(folder, 'filler');
    const fill = () => writeFileSync(filler, Buffer.alloc(128 * 1024), { flag: 'a' });
    t.throws(fill, { code: 'ENOSPC' });
    const from = [sessionId('00000000000000aa'), epoch(7)] as const;
    await t.throwsAsync(server.startFrom(...from), { code: 'E_DISK_MAP', message: /ENOSPC/ });
    t.notRegex(await qemuIo('write 0 64k', 'flush'), /failed/, 'nothing is claimed');
    t.deepEqual(troubles, []);
    rmSync(filler);
    await server.startFrom(...from);
    const map = join(folder, 'disk-changes-0');
    const settled = () => readFileSync(map).includes(Buffer.from('aa00000000000000', 'hex'));
    for (let n = 0; !settled() && n < 6000; n++) await new Promise((go) => setTimeout(go, 10));
    // What has its room keeps it; one that somebody empties is in want of it again.
    t.throws(fill, { code: 'ENOSPC' });
    t.notRegex(await qemuIo('write 0 64k', 'flush'), /failed/);
    truncateSync(map, 0);
    t.throws(fill, { code: 'ENOSPC' });
    await t.throwsAsync(qemuIo('write 16M 64k'), { message: /Input\/output error/ });
    await isToldOf(troubles);
    t.is(troubles[0]!.code, 'E_DISK_MAP');
    t.regex(troubles[0]!.message, /disk-changes-0.*ENOSPC; writing .*a\.raw was refused/);
    rmSync(filler);
    t.notRegex(await qemuIo('write 16M 64k'), /failed/, 'it goes on where there is room');
  };
  try {
    await withServedDisk(64 * mib, work, tmpdir(), folder);
  } finally {
    unmount();
    rmdirSync(folder);
  }
});

test('what may only be read is refused as a disk', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'understudy-readonly-'));
  const unmount = mountTmpfs(folder, '1m');
  try {
    const image = emptyImage(folder, 'a.raw', mib);
    execFileSync('mount', ['-o', 'remount,ro', folder]);
    const socketPath = join(tmpdir(), `understudy-${process.pid}.sock`);
    const start = DiskServer.start({
      images: [image],
      socketPath,
      mapFolder: folder,
      onDeath: () => {},
      onTrouble: () => {},
    });
    await t.throwsAsync(start, { code: 'E_DISK_UNAVAILABLE', message: /EROFS/ });
  } finally {
    unmount();
    rmdirSync(folder);
  }
});

test('a disk is refused where it is missing, empty, or in use', async (t) => {
  await withServedDisk(mib, async ({ folder, image }) => {
    const nobody = { onDeath: () => {}, onTrouble: () => {} };
    const start = (path: string) =>
      DiskServer.start({
        ...{ images: [path], socketPath: join(folder, 'other.sock'), mapFolder: folder, ...nobody },
      });
    await t.throwsAsync(start(join(folder, 'missing.raw')), { code: 'E_DISK_UNAVAILABLE' });
    writeFileSync(join(folder, 'empty.raw'), '');
    await t.throwsAsync(start(join(folder, 'empty.raw')), { code: 'E_DISK_UNAVAILABLE' });
    await t.throwsAsync(start(folder), { code: 'E_DISK_UNAVAILABLE' });
    await t.throwsAsync(start(image), { code: 'E_DISK_LOCKED' });
  });
});

test('while the guest runs elsewhere its disk can be read and not be changed', async (t) => {
  await withServedDisk(mib, async ({ server, qemuIo }) => {
    await qemuIo('write -P 3 0 4k');
    server.refuseChanges();
    t.notRegex(await qemuIo('read -P 3 0 4k'), /failed/);
    await t.throwsAsync(qemuIo('write -P 4 0 4k'), { message: /Operation not permitted/ });
    t.notRegex(await qemuIo('read -P 3 0 4k'), /failed/);
  });
});

/** Says what no decent client says. Speaks simple replies. */
class RawClient {
  readonly socket: Socket;

  static async connect({ folder }: ServedDisk): Promise<RawClient> {
    const socket = createConnection(join(folder, 'nbd.sock'));
    await once(socket, 'data');
    const name = Buffer.from('disk0');
    const head = Buffer.alloc(20);
    head.writeUInt32BE(3, 0);
    head.write('IHAVEOPT', 4);
    head.writeUInt32BE(1, 12);
    head.writeUInt32BE(name.length, 16);
    socket.write(Buffer.concat([head, name]));
    await once(socket, 'data');
    return new RawClient(socket);
  }

  static request(
    command: number,
    offset: bigint,
    length: number,
    payload: Uint8Array = Buffer.alloc(0),
  ): Buffer {
    const bytes = Buffer.alloc(28);
    bytes.writeUInt32BE(0x25609513, 0);
    bytes.writeUInt16BE(command, 6);
    bytes.writeBigUInt64BE(offset, 16);
    bytes.writeUInt32BE(length, 24);
    return Buffer.concat([bytes, payload]);
  }

  constructor(socket: Socket) {
    this.socket = socket;
  }

  /** The error number of the answer, for requests that bring no data back. */
  async ask(
    command: number,
    offset: bigint,
    length: number,
    payload?: Uint8Array,
  ): Promise<number> {
    this.socket.write(RawClient.request(command, offset, length, payload));
    const [reply] = (await once(this.socket, 'data')) as [Buffer];
    return reply.readUInt32BE(4);
  }
}
