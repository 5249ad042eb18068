import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { UnderstudyError } from '../errors.ts';

/** `E_QEMU_EXITED` with what QEMU said last and what an operator can do about it. */
export function exitReason(said: string, exit: string | undefined): UnderstudyError {
  const reason = lastWords(said) ?? exit ?? 'it said nothing';
  const hint = hints.find(([pattern]) => pattern.test(reason))?.[1] ?? 'See qemu.log beside it.';
  return new UnderstudyError('E_QEMU_EXITED', `QEMU ended: ${reason}`, {
    hint,
    fields: { reason, exit: exit ?? 'unknown' },
  });
}

/** What was added to a log since `start`, at most its last 8 KiB; empty if it can't be read. */
export function logTail(path: string, start: number): string {
  try {
    const fd = openSync(path, 'r');
    try {
      const { size } = fstatSync(fd);
      const from = Math.max(start, size - tailBytesMax);
      const bytes = Buffer.alloc(Math.max(0, size - from));
      return bytes.toString('utf8', 0, readSync(fd, bytes, 0, bytes.length, from));
    } finally {
      closeSync(fd);
    }
  } catch {
    return '';
  }
}

const tailBytesMax = 8192;

/** The first matching line wins: what QEMU 7.2 says, and what to do about it. */
const hints: readonly (readonly [RegExp, string])[] = [
  [/cannot lock pid file|Cannot lock/i, 'A QEMU of this guest runs already: adopt or end it.'],
  [/host forwarding|hostfwd/i, 'The port is in use: name another hostPort.'],
  [/Address already in use/i, 'A port or socket is in use: name another one.'],
  [/Failed to get .* lock/i, 'Another process has this disk image open: end it first.'],
  [
    /Could not access KVM|failed to initialize kvm/i,
    'Set accelerator: tcg, or give this user KVM.',
  ],
  [/Cannot allocate memory|cannot set up guest memory/i, 'Give the guest less memory.'],
  [/could not open|Could not open|could not load|No such file/i, 'Check the path that it names.'],
  [/invalid option|Invalid parameter|not a valid|not found|unsupported/i, 'Check extraArguments.'],
];

/** The last line that is not a warning, without the program's name. */
function lastWords(said: string): string | undefined {
  const lines = said
    .split('\n')
    .map((line) => line.replace(/^\S*qemu-system-\S+: /, '').trim())
    .filter((line) => line !== '' && !line.startsWith('warning:'));
  return lines.at(-1);
}
