import { connect } from 'node:net';

/** Where the guest is, on the bridge of this namespace. */
export const guestAddress = '10.77.0.2';
const storePort = 6379;

/**
 * One command to the guest's store on a connection of its own; the whole answer. Undefined where
 * none came in time: a connection that an old copy had begun says nothing about the new one.
 */
export function askStore(command: string, timeoutMs: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect(storePort, guestAddress);
    let text = '';
    const settle = (answer: string | undefined) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(answer);
    };
    const timer = setTimeout(() => settle(undefined), timeoutMs);
    socket.setEncoding('latin1');
    socket.on('connect', () => socket.write(`${command}\r\n`));
    socket.on('data', (piece) => {
      text += piece;
      if (isWholeReply(text)) settle(text);
    });
    socket.on('error', () => settle(undefined));
    socket.on('close', () => settle(undefined));
  });
}

/** The number that a key holds; undefined for an answer that is none. */
export function numberIn(answer: string | undefined): number | undefined {
  const digits = /^\$\d+\r\n(\d+)\r\n/.exec(answer ?? '')?.[1];
  return digits === undefined ? undefined : Number(digits);
}

function isWholeReply(text: string): boolean {
  const length = /^\$(\d+)\r\n/.exec(text);
  if (length === null) return text.endsWith('\r\n');
  return text.length >= length[0].length + Number(length[1]) + 2;
}
