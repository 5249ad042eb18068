import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { DiskServer } from '../../../shared/disk/disk-server.ts';
import type { UnderstudyError } from '../../../shared/errors.ts';

const run = promisify(execFile);

export interface ServedDisk {
  readonly folder: string;
  readonly image: string;
  readonly server: DiskServer;
  readonly uri: string;
  /** The output of a judge. Rejects where it ends with an error. */
  judge(program: string, ...args: string[]): Promise<string>;
  qemuIo(...commands: string[]): Promise<string>;
  /** What an operator was told of failing requests. */
  readonly troubles: UnderstudyError[];
}

/** An empty image, in a folder of its own below `below`, behind a server of ours. */
export async function withServedDisk(
  sizeBytes: number,
  work: (disk: ServedDisk) => Promise<void>,
  below = tmpdir(),
  mapFolder?: string,
): Promise<void> {
  const folder = mkdtempSync(join(below, 'understudy-disk-'));
  try {
    const image = emptyImage(folder, 'a.raw', sizeBytes);
    const socketPath = join(folder, 'nbd.sock');
    const onDeath = (error: Error) => {
      throw error;
    };
    const troubles: UnderstudyError[] = [];
    const server = await DiskServer.start({
      images: [image],
      socketPath,
      mapFolder: mapFolder ?? folder,
      onDeath,
      onTrouble: (error) => troubles.push(error),
    });
    try {
      server.openToChanges();
      const uri = `nbd+unix:///disk0?socket=${socketPath}`;
      const judge = async (program: string, ...args: string[]): Promise<string> => {
        const ran = run(program, args, { timeout: 300_000, maxBuffer: 2 ** 26 });
        const { stdout } = await ran.catch((error: { stdout: string; stderr: string }) => {
          throw new Error(`${program}: ${error.stdout}${error.stderr}`);
        });
        return stdout;
      };
      const qemuIo = (...commands: string[]) =>
        judge('qemu-io', '-f', 'raw', ...commands.flatMap((one) => ['-c', one]), uri);
      await work({ folder, image, server, uri, judge, qemuIo, troubles });
    } finally {
      await server.close();
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

export function emptyImage(folder: string, name: string, sizeBytes: number): string {
  const path = join(folder, name);
  writeFileSync(path, '');
  truncateSync(path, sizeBytes);
  return path;
}
