import { existsSync } from 'node:fs';
import { readdir, readFile, realpath } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { UnderstudyError } from '../../shared/errors.ts';
import { type CpioEntry, writeCpio } from './cpio.ts';
import { readElfNeeds, readModuleDepends } from './elf.ts';
import { readInitScript, recipe } from './recipe.ts';

/**
 * Picks what the lab guest needs out of the unpacked packages below `root`. Nothing else goes
 * in: each byte of the image is a byte that the emulated kernel copies at boot.
 */
export async function makeImage(root: string): Promise<{ kernel: Buffer; initrd: Buffer }> {
  const boot = await readdir(join(root, 'boot')).catch(() => []);
  const kernelName = boot.find((name) => name.startsWith('vmlinuz-'));
  if (kernelName === undefined) throw packageError('no kernel (boot/vmlinuz-*)');
  const release = kernelName.slice('vmlinuz-'.length);

  const files = new Map<string, Buffer>();
  await addPrograms(root, recipe.programs, files);
  const order = await addModules(join(root, 'lib/modules', release), files);
  files.set('lib/modules/order', Buffer.from(order.map((name) => `${name}\n`).join('')));
  files.set('init', await readInitScript());
  return {
    kernel: await readFile(join(root, 'boot', kernelName)),
    initrd: writeCpio(toEntries(files)),
  };
}

/** Adds programs (where each lies below `root`, and its place) with the libraries they need. */
export async function addPrograms(
  root: string,
  programs: Readonly<Record<string, string>>,
  files: Map<string, Buffer>,
): Promise<void> {
  const wanted: string[] = [];
  const add = (place: string, data: Buffer) => {
    files.set(place, data);
    const needs = readElfNeeds(data);
    wanted.push(...needs.libraries);
    const loader = needs.interpreter;
    if (loader !== undefined) wanted.push(basename(loader));
  };
  for (const [from, place] of Object.entries(programs)) {
    const path = join(root, from);
    if (!existsSync(path)) throw packageError(`no ${from}`);
    // redis-server is a link to redis-check-rdb: one program that looks at its name.
    add(place, await readFile(await realpath(path)));
  }
  for (const name of wanted) {
    const isLoader = name.startsWith('ld-linux');
    const place = isLoader ? `lib64/${name}` : `lib/x86_64-linux-gnu/${name}`;
    if (!files.has(place)) add(place, await readFile(findLibrary(root, name)));
  }
}

function findLibrary(root: string, name: string): string {
  const places = recipe.libraryFolders.map((folder) => join(root, folder, name));
  const path = places.find((place) => existsSync(place));
  if (path === undefined) throw packageError(`no library ${name}`);
  return path;
}

/** Adds the modules and what they depend on; returns their file names in loading order. */
async function addModules(folder: string, files: Map<string, Buffer>): Promise<string[]> {
  const paths = new Map<string, string>();
  for (const path of await readdir(folder, { recursive: true }).catch(() => [])) {
    if (path.endsWith('.ko')) paths.set(moduleName(path), join(folder, path));
  }
  const order: string[] = [];
  const visit = async (name: string): Promise<void> => {
    const place = `${name}.ko`;
    if (order.includes(place)) return;
    const path = paths.get(name);
    if (path === undefined) throw packageError(`no kernel module ${name}`);
    const data = await readFile(path);
    for (const other of readModuleDepends(data)) await visit(other);
    files.set(`lib/modules/${place}`, data);
    order.push(place);
  };
  for (const name of recipe.modules) await visit(name);
  return order;
}

/** The kernel takes "-" and "_" in a module's name as the same. */
const moduleName = (path: string) => basename(path, '.ko').replaceAll('-', '_');

/** The archive's entries: the files, the folders that they lie in, and what Linux wants at boot. */
export function toEntries(files: ReadonlyMap<string, Buffer>): CpioEntry[] {
  const folders = new Set<string>(['dev', 'proc', 'sys', 'tmp', 'load']);
  for (const name of files.keys()) {
    const parts = name.split('/').slice(0, -1);
    for (let i = 1; i <= parts.length; i++) folders.add(parts.slice(0, i).join('/'));
  }
  const entries: CpioEntry[] = [...folders]
    .sort()
    .map((name) => ({ kind: 'folder', name, mode: 0o755 }));
  // Before devtmpfs is mounted, the kernel opens this one for /init.
  entries.push({ kind: 'char-device', name: 'dev/console', mode: 0o600, major: 5, minor: 1 });
  for (const [name, data] of [...files].sort(([a], [b]) => (a < b ? -1 : 1))) {
    entries.push({ kind: 'file', name, mode: 0o755, data });
  }
  return entries;
}

function packageError(what: string): UnderstudyError {
  return new UnderstudyError('E_GUEST_BUILD_PACKAGE', `the lab guest's packages hold ${what}`, {
    hint: 'The packages of this distribution differ from those that the recipe was written for.',
    fields: { what },
  });
}
