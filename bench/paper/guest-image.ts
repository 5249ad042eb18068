import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildLabGuest, type LabGuest } from '../../drill/lab-guest/build.ts';
import { writeCpio } from '../../drill/lab-guest/cpio.ts';
import { addPrograms, toEntries } from '../../drill/lab-guest/image.ts';
import { resolvePackages, unpackPackages } from '../../drill/lab-guest/packages.ts';
import { compileC } from '../compile.ts';

/** Loads that are compiled here, and those that are scripts. */
const compiled = ['ep', 'write-loop', 'cgi-server'] as const;
const scripts = ['init', 'store', 'web', 'dynamic', 'mix', 'compile', 'compress'] as const;

/** Debian packages that scripts need: their programs, and the packages of their libraries. */
const packages = ['nginx', 'tcc'];
const libraries = /^(libc6|libcrypt1|libpcre2-8-0|libssl3|zlib1g)$/;
const programs = { 'usr/sbin/nginx': 'bin/nginx', 'usr/bin/tcc': 'bin/tcc' };

/**
 * The lab guest with the comparison's loads in it: a second archive behind the first, which the
 * kernel unpacks over it. Written into `folder`. Throws what building the lab guest throws, and
 * where gcc can't compile the loads.
 */
export async function buildPaperGuest(folder: string): Promise<LabGuest> {
  const labGuest = await buildLabGuest();
  const files = new Map<string, Buffer>();
  await addPackages(folder, files);
  for (const name of compiled) files.set(`loads/${name}`, await compile(folder, name));
  for (const name of scripts) files.set(`loads/${name}`, await readFile(source(`${name}.sh`)));
  // nginx looks up the user that it runs as.
  files.set('etc/passwd', Buffer.from('root:x:0:0:root:/:/bin/sh\n'));
  files.set('etc/group', Buffer.from('root:x:0:\n'));

  // Copies: the cache's own may be replaced by another build while cells run.
  const kernel = join(folder, 'vmlinuz');
  await copyFile(labGuest.kernel, kernel);
  const initrd = join(folder, 'initrd.cpio');
  const archives = [await readFile(labGuest.initrd), writeCpio(toEntries(files))];
  await writeFile(initrd, Buffer.concat(archives));
  return { ...labGuest, kernel, initrd, append: `${labGuest.append} rdinit=/loads/init` };
}

async function addPackages(folder: string, files: Map<string, Buffer>): Promise<void> {
  const choice = { packages, alsoWanted: (name: string) => libraries.test(name) };
  const root = join(folder, 'root');
  await mkdir(root);
  await unpackPackages(await resolvePackages(choice, folder), folder, root, () => {});
  await addPrograms(root, programs, files);
}

/** Static: the guest has the libraries of its own programs only. */
async function compile(folder: string, name: string): Promise<Buffer> {
  const program = join(folder, name);
  await compileC(source(`${name}.c`), program, ['-O2', '-static', '-lm']);
  return await readFile(program);
}

/** From the checkout that this build belongs to. */
const source = (name: string) =>
  fileURLToPath(new URL(`../../../bench/paper/guest/${name}`, import.meta.url));
