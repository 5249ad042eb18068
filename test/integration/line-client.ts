import { connect } from 'node:net';

/**
 * A client of a service that answers lines, on one TCP connection that it never makes anew.
 * Arguments: host and port. Told a line, it sends it; each line that comes it tells.
 */
const [host, port] = process.argv.slice(2);
const socket = connect(Number(port), host);
socket.setNoDelay(true);
process.on('disconnect', () => process.exit());
process.on('message', (line: string) => socket.write(`${line}\r\n`));
let rest = '';
socket.on('connect', () => process.send!('connected'));
socket.on('error', (error) => process.send!(`error ${error.message}`));
socket.on('close', () => process.send!('closed'));
socket.on('data', (piece) => {
  const lines = `${rest}${piece}`.split('\r\n');
  rest = lines.pop()!;
  for (const line of lines) process.send!(line);
});
