import { type ChildProcess, spawn } from 'node:child_process';
import type { ExecutionContext } from 'ava';
import { findFreePorts } from '../../../drill/free-port.ts';
import { buildLabGuest } from '../../../drill/lab-guest/build.ts';

export interface LabMachine {
  /** Port of this machine that leads to the guest's Redis. */
  readonly port: number;
  readonly pid: number;
  /** Resolves with the console's text when it matches. */
  waitForConsole(pattern: RegExp, deadlineMs: number): Promise<string>;
}

/** The lab guest in a QEMU of the test's own: nothing of Understudy is in between. */
export async function startLabMachine(t: ExecutionContext, words: string): Promise<LabMachine> {
  const { kernel, initrd, append } = await buildLabGuest();
  const [port] = await findFreePorts(1);
  const child = spawn('setpriv', [
    ...['--pdeathsig', 'KILL', '--', 'qemu-system-x86_64'],
    ...['-machine', 'q35,accel=tcg', '-m', '512', '-smp', '1', '-nodefaults', '-vga', 'none'],
    ...['-display', 'none', '-no-reboot', '-serial', 'stdio'],
    ...['-kernel', kernel, '-initrd', initrd, '-append', `${append} ${words}`],
    ...['-device', 'virtio-net-pci,netdev=n'],
    ...['-netdev', `user,id=n,hostfwd=tcp:127.0.0.1:${port}-:6379`],
  ]);
  t.teardown(() => child.kill('SIGKILL'));
  return { port: port!, pid: child.pid!, waitForConsole: watchConsole(child) };
}

function watchConsole(child: ChildProcess): LabMachine['waitForConsole'] {
  let text = '';
  let onText = () => {};
  const add = (chunk: Buffer | string) => {
    text += String(chunk);
    onText();
  };
  child.stdout!.on('data', add);
  child.stderr!.on('data', add);
  let giveUp = () => {};
  child.on('close', (code, signal) => {
    add(`\n[QEMU ended: ${code ?? signal}]\n`);
    giveUp();
  });
  return (pattern, deadlineMs) =>
    new Promise((resolve, reject) => {
      giveUp = () => reject(new Error(`console: ${text}`));
      const timer = setTimeout(giveUp, deadlineMs);
      onText = () => {
        if (!pattern.test(text)) return;
        clearTimeout(timer);
        resolve(text);
      };
      onText();
    });
}
