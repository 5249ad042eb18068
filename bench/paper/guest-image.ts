import { execFile } from 'node:child_process';
import { copyFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { buildLabGuest, type LabGuest } from '../../drill/lab-guest/build.ts';
import { type CpioEntry, writeCpio } from '../../drill/lab-guest/cpio.ts';

/** Programs that are compiled here, and run in the guest. */
const programs = ['ep', 'write-loop'] as const;

/**
 * The lab guest with the comparison's loads in it: a second archive behind the first, which the
 * kernel unpacks over it. Written into `folder`. Throws what building the lab guest throws, and
 * where gcc can't compile the loads.
 */
export async function buildPaperGuest(folder: string): Promise<LabGuest> {
  const labGuest = await buildLabGuest();
  const entries: CpioEntry[] = [
    { kind: 'folder', name: 'loads', mode: 0o755 },
    { kind: 'file', name: 'loads/init', mode: 0o755, data: await readFile(source('init.sh')) },
  ];
  for (const name of programs) {
    const program = join(folder, name);
    // Static: the guest has the libraries of its own programs only.
    const flags = ['-O2', '-static', '-std=gnu11', '-Wall', '-Wextra', '-Werror'];
    await promisify(execFile)('gcc', [...flags, '-o', program, source(`${name}.c`), '-lm']);
    entries.push({
      ...{ kind: 'file', name: `loads/${name}`, mode: 0o755 },
      data: await readFile(program),
    });
  }
  // Copies: the cache's own may be replaced by another build while cells run.
  const kernel = join(folder, 'vmlinuz');
  await copyFile(labGuest.kernel, kernel);
  const initrd = join(folder, 'initrd.cpio');
  await writeFile(initrd, Buffer.concat([await readFile(labGuest.initrd), writeCpio(entries)]));
  return { ...labGuest, kernel, initrd, append: `${labGuest.append} rdinit=/loads/init` };
}

/** From the checkout that this build belongs to. */
const source = (name: string) =>
  fileURLToPath(new URL(`../../../bench/paper/guest/${name}`, import.meta.url));
