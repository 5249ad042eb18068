import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { UnderstudyError } from '../shared/errors.ts';

/** Programs of others that make and judge the disks of a drill, and the Debian package of each. */
const tools = {
  'mkfs.ext4': 'e2fsprogs',
  e2fsck: 'e2fsprogs',
  debugfs: 'e2fsprogs',
  'redis-check-aof': 'redis-tools',
  'redis-check-rdb': 'redis-tools',
} as const;

export type ToolName = keyof typeof tools;

export interface Ran {
  readonly status: number | null;
  /** What it said, on both streams. */
  readonly said: string;
}

const toolMs = 120_000;

/** Throws `E_DRILL_TOOL` where one of them is missing. */
export function requireTools(): void {
  for (const name of Object.keys(tools) as ToolName[]) toolPath(name);
}

/** Throws `E_DRILL_TOOL`. */
export function toolPath(name: ToolName): string {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  const found = folders.map((folder) => join(folder, name)).find((path) => existsSync(path));
  if (found !== undefined) return found;
  throw new UnderstudyError('E_DRILL_TOOL', `the program ${name} is not here`, {
    hint: `apt-get install ${tools[name]}`,
    fields: { name },
  });
}

/** Runs it and says how it ended. `input` is what it is told. Throws `E_DRILL_TOOL`. */
export async function runTool(name: ToolName, args: readonly string[], input = ''): Promise<Ran> {
  const child = spawn(toolPath(name), args, { timeout: toolMs, killSignal: 'SIGKILL' });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (piece: string) => {
      said += piece;
    });
  }
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  return await new Promise((resolve) => {
    child.on('error', (error) => resolve({ status: null, said: error.message }));
    child.on('close', (status) => resolve({ status, said: said.trim() }));
  });
}
