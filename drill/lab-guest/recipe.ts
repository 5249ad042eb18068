import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

/** What the lab guest is made of. Change anything here or in init.sh and it is built anew. */
export const recipe = {
  /** Raise it when the builder's own code changes what comes out of the same recipe. */
  version: 1,
  /** Packages by name; the libraries of theirs come along. The kernel's depends on the real one. */
  packages: ['linux-image-cloud-amd64', 'busybox-static', 'redis-server', 'redis-tools'],
  kernelPackage: /^linux-image-\d/,
  /** Packages of the closure that can hold a library of the programs below. */
  libraryPackages: /^(lib(?!perl|pam|audit|semanage|klibc|kmd|db5|gdbm)|zlib)/,
  /** Where a program lies in its package, and its place in the guest. */
  programs: {
    'bin/busybox': 'bin/busybox',
    'usr/bin/redis-server': 'bin/redis-server',
    'usr/bin/redis-cli': 'bin/redis-cli',
    'usr/bin/redis-benchmark': 'bin/redis-benchmark',
  },
  libraryFolders: ['lib/x86_64-linux-gnu', 'usr/lib/x86_64-linux-gnu', 'lib64', 'usr/lib64'],
  /** Loaded at boot, after what they depend on. */
  modules: ['virtio_pci', 'virtio_net', 'virtio_blk', 'virtio_balloon', 'virtio_console'],
  /** Kernel command line; init.sh lists the `lab.` words that can be added. */
  append: [
    // no_timer_check: under TCG on a busy host the kernel's test of its timer fails, and it panics.
    ...['console=ttyS0', 'quiet', 'panic=-1', 'mitigations=off', 'no_timer_check'],
    ...['tsc=reliable', 'lab.counter=50', 'lab.load=none'],
  ].join(' '),
};

const initPath = fileURLToPath(new URL('../../../drill/lab-guest/init.sh', import.meta.url));

/** The guest's /init, from the checkout that this build belongs to. */
export const readInitScript = () => readFile(initPath);

/** 16 hex digits over the recipe, the init script and the versions of the packages. */
export async function digestRecipe(versions: readonly string[]): Promise<string> {
  const hash = createHash('sha256');
  hash.update(JSON.stringify(recipe, (_, v) => (v instanceof RegExp ? v.source : v)));
  hash.update(await readInitScript());
  for (const version of versions) hash.update(`${version}\n`);
  return hash.digest('hex').slice(0, 16);
}
