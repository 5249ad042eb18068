import test from 'ava';
import fc from 'fast-check';
import {
  answerLine,
  LineSplitter,
  parseAnswer,
  refusalLine,
  requestLine,
} from '../../../shared/agent/control-line.ts';
import { UnderstudyError } from '../../../shared/errors.ts';

const commands = {
  status: async () => ({ state: 'protected' }),
  pause: async () => {
    throw new UnderstudyError('E_NOT_NOW', 'not now', { hint: 'later' });
  },
  broken: async () => {
    throw new Error('an invariant');
  },
};

test('an answer is what the command gave, or what it refused with', async (t) => {
  t.deepEqual(parseAnswer(await answerLine(requestLine('status'), commands)), {
    ok: true,
    result: { state: 'protected' },
  });
  const refusal = { ok: false, code: 'E_NOT_NOW', message: 'not now', hint: 'later' } as const;
  t.deepEqual(parseAnswer(await answerLine(requestLine('pause'), commands)), refusal);
});

test('a broken invariant is not hidden in an answer', async (t) => {
  await t.throwsAsync(answerLine(requestLine('broken'), commands), { message: 'an invariant' });
});

for (const [what, line] of [
  ['an unknown command', requestLine('explode')],
  ['a word that every object has', requestLine('constructor')],
  ['no command', '{"version":1}'],
  ['another version', '{"version":2,"command":"status"}'],
  ['no JSON', 'status'],
  ['no object', '[1]'],
  ['nothing', ''],
] as const) {
  test(`${what} is refused, and nothing is run`, async (t) => {
    const answer = parseAnswer(await answerLine(line, commands));
    t.false(answer.ok);
    t.is(answer.ok ? '' : answer.code, 'E_CONTROL_REQUEST');
  });
}

test('lines come out as they went in, however they were cut', (t) => {
  const line = fc.string().map((text) => text.replaceAll('\n', ' '));
  const cuts = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 });
  fc.assert(
    fc.property(fc.array(line), cuts, (lines, sizes) => {
      const bytes = Buffer.from(lines.map((text) => `${text}\n`).join(''));
      const splitter = new LineSplitter(1000);
      const found: string[] = [];
      for (let at = 0, turn = 0; at < bytes.length; turn++) {
        const size = sizes[turn % sizes.length]!;
        found.push(...splitter.push(bytes.subarray(at, at + size)));
        at += size;
      }
      t.deepEqual(
        found,
        lines.map((text) => Buffer.from(text).toString()),
      );
    }),
  );
});

test('a line that never ends is refused before it fills memory', (t) => {
  const splitter = new LineSplitter(100);
  t.deepEqual(splitter.push(Buffer.alloc(100, 'a')), []);
  t.throws(() => splitter.push(Buffer.from('a')), { code: 'E_CONTROL_LINE' });
  t.throws(() => new LineSplitter(100).push(Buffer.from(`${'a'.repeat(101)}\n`)), {
    code: 'E_CONTROL_LINE',
  });
});

test('what is no answer of this release is told apart from a refusal', (t) => {
  const refusal = refusalLine(new UnderstudyError('E_X', 'x', { hint: 'y' }));
  t.is(parseAnswer(refusal).ok, false);
  for (const line of ['', '{}', '{"version":2,"ok":true}', '{"version":1,"ok":false}', 'null']) {
    t.throws(() => parseAnswer(line), { code: 'E_CONTROL_ANSWER' }, line);
  }
});
