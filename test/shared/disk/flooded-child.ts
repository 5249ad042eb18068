/**
 * A process that serves a disk whose log of changes leaves for nobody, until it is told so:
 *
 *   node --expose-gc flooded-child.js FOLDER
 *
 * Says on standard output what it has taken from clients and what the system gave it, in bytes, as
 * JSON, each 50 ms after a collection of garbage. A line on standard input lets the log leave.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DiskServer } from '../../../shared/disk/disk-server.ts';
import { epoch } from '../../../shared/ids.ts';

const folder = process.argv[2]!;
const fail = (error: Error): void => {
  throw error;
};
const server = await DiskServer.start({
  images: [join(folder, 'a.raw')],
  socketPath: join(folder, 'nbd.sock'),
  mapFolder: folder,
  onDeath: fail,
  onTrouble: fail,
});
server.openToChanges();

let loggedBytes = 0;
let isLeaving = false;
const held: (() => void)[] = [];
server.startLog(epoch(1), 2 ** 20, (_, body, sent) => {
  loggedBytes += body.byteLength;
  if (isLeaving) sent();
  else held.push(sent);
});

process.stdin.once('data', () => {
  isLeaving = true;
  for (const sent of held.splice(0)) sent();
});
process.stdin.once('end', () => process.exit());

setInterval(() => {
  globalThis.gc!();
  const status = readFileSync('/proc/self/status', 'latin1');
  const residentBytes = Number(/VmRSS:\s+(\d+)/.exec(status)![1]) * 1024;
  process.stdout.write(`${JSON.stringify({ loggedBytes, residentBytes })}\n`);
}, 50);
