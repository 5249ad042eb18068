import test from 'ava';
import {
  decodeTermRecord,
  encodeTermRecord,
  type TermRecord,
} from '../../../shared/arbiter/term-record.ts';
import { isUnderstudyError } from '../../../shared/errors.ts';
import { epoch, type GuestName, sessionId, term } from '../../../shared/ids.ts';
import { exampleRecord, guest } from './term-example.ts';

const nonce = '00112233445566778899aabbccddeeff';
const record: TermRecord = {
  ...exampleRecord(7, 'east', nonce),
  mode: 'protected',
  session: sessionId('0123456789abcdef'),
  baseEpoch: epoch(41),
};
const stored = new TextDecoder().decode(encodeTermRecord(record));

function refusal(text: string | Uint8Array, n = 7, of: GuestName = guest): string {
  const bytes = typeof text === 'string' ? new TextEncoder().encode(text) : text;
  try {
    decodeTermRecord(bytes, of, n);
  } catch (error) {
    if (isUnderstudyError(error, 'E_TERM_RECORD') && error.hint !== '') return error.message;
    throw error;
  }
  return 'taken';
}

test('a record is read back as it was stored, and its text stays what version 1 says', (t) => {
  t.deepEqual(decodeTermRecord(encodeTermRecord(record), guest, 7), record);
  const bare = exampleRecord(1, 'west');
  t.deepEqual(decodeTermRecord(encodeTermRecord(bare), guest, 1), bare);
  t.is(
    stored,
    '{"version":1,"guest":"lab","term":7,"holder":"6bdb262b0201799a","mode":"protected",' +
      '"nonce":"00112233445566778899aabbccddeeff","session":"0123456789abcdef",' +
      '"baseEpoch":41,"at":"2026-01-02T03:04:05.678Z","sum":"28f8de31feaf04cf"}',
  );
});

test('any byte of a stored record that is changed, cut off or added is noticed', (t) => {
  const bytes = encodeTermRecord(record);
  for (let at = 0; at < bytes.length; at++) {
    const flipped = bytes.slice();
    flipped[at]! ^= 1;
    t.not(refusal(flipped), 'taken', `byte ${at} flipped`);
    t.not(refusal(bytes.subarray(0, at)), 'taken', `cut at ${at}`);
  }
  t.regex(refusal(`${stored} `), /edited/);
  t.regex(refusal(stored.replace('"term":7', '"term":7,"term":7')), /edited/);
  t.regex(refusal(stored.replace('"mode"', '"extra":1,"mode"')), /edited/);
  t.regex(refusal(' '.repeat(5000)), /5000 bytes/);
});

test('what is wrong with a record is said by name', (t) => {
  t.regex(refusal('nonsense'), /not JSON/);
  t.regex(refusal('[]'), /not an object but \[\]/);
  t.regex(refusal(stored.replace('"version":1', '"version":2')), /version 2.*knows 1/);
  t.regex(refusal('{}'), /version nothing.*knows 1/);
  t.regex(refusal(stored.replace('"mode":"protected",', '')), /mode is missing/);
  t.regex(
    refusal(stored.replace('"protected"', '"both"')),
    /mode is "both".*solo, protected or paused/,
  );
  t.regex(refusal(stored.replace('"baseEpoch":41', '"baseEpoch":-1')), /baseEpoch is -1/);
  t.regex(refusal(stored.replace('"baseEpoch":41', '"baseEpoch":42')), /checksum disagree/);
  t.regex(refusal(stored, 8), /says that it is term 7/);
  t.regex(refusal(stored, 7, 'other' as GuestName), /record of the guest lab/);
});

test('a record that could not be read back is not stored', (t) => {
  const wrong: Partial<TermRecord>[] = [
    { holder: 'east' },
    { nonce: '' },
    { term: term(0) },
    { at: 'now' },
    { baseEpoch: epoch(1.5) },
    { session: sessionId('x') },
  ];
  for (const change of wrong) {
    const error = t.throws(() => encodeTermRecord({ ...record, ...change }));
    t.true(isUnderstudyError(error, 'E_TERM_RECORD'), JSON.stringify(change));
  }
});
