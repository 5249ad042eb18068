import test from 'ava';
import { checkHello, type GreetedSide } from '../../../backup/session/greeting.ts';
import { type GuestName, term } from '../../../shared/ids.ts';
import type { Hello } from '../../../shared/wire/control-body.ts';
import { commonProtocol, protocolMismatch } from '../../../shared/wire/protocol.ts';

const description = {
  ...{ memoryBytes: 2 ** 29, vcpus: 2, machine: 'pc-q35-7.2', accelerator: 'tcg' },
  ...{ qemuVersion: '7.2.22', devicesDigest: '00ff' },
};
const side: GreetedSide = {
  ...{ guestName: 'lab' as GuestName, description, diskBytes: [4096, 8192], highestTerm: term(5) },
};
const hello: Hello = {
  ...{ kind: 'hello', protocol: 1, protocolMax: 2, agent: '0011223344556677', guestName: 'lab' },
  ...{ instance: '7766554433221100', secret: '5a'.repeat(192), hash: 'xxh3', blockBytes: 64 },
  ...{ generalCodec: 'lz4', windowBytes: 2 ** 24, description, diskBytes: [4096, 8192] },
  base: null,
};

test('a release works with the one before it and the one after it, and with no other', (t) => {
  const ours = { min: 2, max: 3 };
  t.is(commonProtocol({ min: 2, max: 3 }, ours), 3);
  t.is(commonProtocol({ min: 1, max: 2 }, ours), 2);
  t.is(commonProtocol({ min: 3, max: 4 }, ours), 3);
  t.is(commonProtocol({ min: 2, max: 2 }, ours), 2);
  t.is(commonProtocol({ min: 1, max: 1 }, ours), undefined);
  t.is(commonProtocol({ min: 4, max: 5 }, ours), undefined);
});

test('a primary of a protocol too far away is refused with what both speak and who has to move', (t) => {
  for (const [protocol, protocolMax, words, older] of [
    [3, 4, 'the primary speaks protocol 3 to 4, the backup 1 to 2', /on the backup's host.*3 to 4/],
    [7, 7, 'the primary speaks protocol 7, the backup 1 to 2', /on the backup's host.*speaks 7/],
  ] as const) {
    const refused = checkHello({ ...hello, protocol, protocolMax }, term(5), side);
    t.is(refused?.code, 'E_PROTOCOL_VERSION');
    t.is(refused?.message, words);
    t.regex(refused?.hint ?? '', older);
  }
  const { hint } = protocolMismatch({ min: 1, max: 2 }, { min: 4, max: 5 });
  t.regex(hint, /on the primary's host.*4 to 5/);
});

test('HELLO with a range and HELLO of the release before are both taken', (t) => {
  t.is(checkHello(hello, term(5), side), undefined);
  t.is(checkHello({ ...hello, protocolMax: 1 }, term(5), side), undefined);
  t.is(checkHello({ ...hello, protocol: 2, protocolMax: 3 }, term(6), side), undefined);
});

test('a primary in an older term than was seen here is refused', (t) => {
  const refused = checkHello(hello, term(4), side);
  t.is(refused?.code, 'E_TERM_OLD');
  t.regex(refused?.message ?? '', /in term 4, and term 5 was seen here/);
});

test('a disk of another size is refused, and it is said which one and how large both are', (t) => {
  const refused = checkHello({ ...hello, diskBytes: [4096, 4096] }, term(5), side);
  t.is(refused?.code, 'E_DISK_SIZE');
  t.is(
    refused?.message,
    'replicated disk 1 is 4096 bytes on the primary, 8192 bytes on the backup',
  );
  t.is(checkHello({ ...hello, diskBytes: [] }, term(5), side)?.code, 'E_DISK_SIZE');
});
