import test from 'ava';
import { exitCodeOf } from '../../cli/exit-code.ts';
import { describeFailure } from '../../cli/failure.ts';
import { ConfigError } from '../../shared/config/problem.ts';
import { UnderstudyError } from '../../shared/errors.ts';

const expected = new UnderstudyError('E_QMP_TIMEOUT', 'QEMU does not answer', {
  hint: 'look at its log',
  fields: { pid: 7 },
  cause: new Error('no answer in 5 s', { cause: new Error('the socket is full') }),
});
const internal = new TypeError('x is not a function');

test('the exit status says whose fault it is', (t) => {
  t.is(exitCodeOf(expected), 1);
  t.is(exitCodeOf(new UnderstudyError('E_USAGE', '', { hint: '' })), 2);
  t.is(exitCodeOf(new UnderstudyError('E_CONFIG_MISSING', '', { hint: '' })), 2);
  t.is(exitCodeOf(internal), 70);
  t.is(exitCodeOf('a thrown text'), 70);
});

test('people get the code, the message, its causes and what to do', (t) => {
  t.is(
    describeFailure(expected, true),
    'error E_QMP_TIMEOUT: QEMU does not answer\ncause: no answer in 5 s\n' +
      'cause: the socket is full\nhint: look at its log',
  );
});

test('scripts get the same on one line of JSON', (t) => {
  const text = describeFailure(expected, false);
  t.false(text.includes('\n'));
  t.like(JSON.parse(text), {
    level: 'error',
    code: 'E_QMP_TIMEOUT',
    message: 'QEMU does not answer',
    hint: 'look at its log',
    causes: ['no answer in 5 s', 'the socket is full'],
    fields: { pid: 7 },
  });
});

test('a fault in Understudy comes with its stack', (t) => {
  t.regex(describeFailure(internal, true), /^error E_INTERNAL: TypeError: x is not .*\n +at /);
  const { code, stack } = JSON.parse(describeFailure(internal, false));
  t.is(code, 'E_INTERNAL');
  t.regex(stack, /failure\.test/);
  t.regex(describeFailure('text', true), /something that is no error was thrown: text/);
});

test('a refused file tells scripts each problem with its place', (t) => {
  const problem = { kind: 'type', line: 3, column: 5, key: 'a.b' } as const;
  const error = new ConfigError('f.yaml', [
    { ...problem, expected: 'a path', found: 'nothing', suggestion: '' },
  ]);
  const { problems, fields } = JSON.parse(describeFailure(error, false));
  t.like(problems[0], { line: 3, column: 5, key: 'a.b', expected: 'a path' });
  t.like(fields, { file: 'f.yaml', line: 3 });
});
