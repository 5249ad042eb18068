import { existsSync } from 'node:fs';
import {
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  statfs,
  writeFile,
} from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { isUnderstudyError, systemCode, UnderstudyError } from '../../shared/errors.ts';
import { withBuildLock } from './build-lock.ts';
import { makeImage } from './image.ts';
import {
  type PackageVersion,
  refreshPackageLists,
  resolvePackages,
  unpackPackages,
} from './packages.ts';
import { digestRecipe, recipe } from './recipe.ts';

export interface LabGuest {
  /** Path of the kernel, as QEMU's `-kernel` takes it. */
  readonly kernel: string;
  /** Path of the initramfs: an uncompressed cpio archive. */
  readonly initrd: string;
  /** Kernel command line; init.sh lists the `lab.` words that can be added to it. */
  readonly append: string;
  /** 16 hex digits over the recipe and the package versions. */
  readonly recipeDigest: string;
}

export interface BuildOptions {
  /** Default: `understudy/lab-guest` in $XDG_CACHE_HOME or ~/.cache. */
  readonly cacheFolder?: string;
  /** Called with a sentence for each step that takes time. Not called for a cached image. */
  readonly onProgress?: (step: string) => void;
}

/**
 * The lab guest's kernel and initramfs, from the cache or built of Debian packages (some 45 MB to
 * download, 10 s). A cached image of the same recipe serves where apt can't be asked.
 * Throws `E_GUEST_BUILD_TOOL`, `…_FETCH`, `…_SPACE`, `…_PACKAGE`, `…_BUSY`, `…_CACHE`.
 */
export async function buildLabGuest(options: BuildOptions = {}): Promise<LabGuest> {
  const cacheFolder = options.cacheFolder ?? defaultCacheFolder();
  const onProgress = options.onProgress ?? (() => {});
  await mkdir(cacheFolder, { recursive: true }).catch((error) => {
    throw explainCache(cacheFolder, error);
  });
  try {
    return await withWorkFolder(cacheFolder, (workFolder) =>
      findOrBuild(cacheFolder, workFolder, onProgress),
    );
  } catch (error) {
    throw explainCache(cacheFolder, error);
  }
}

export function defaultCacheFolder(): string {
  const base = process.env.XDG_CACHE_HOME || join(homedir(), '.cache');
  return join(base, 'understudy', 'lab-guest');
}

type OnProgress = (step: string) => void;

async function findOrBuild(
  cacheFolder: string,
  workFolder: string,
  onProgress: OnProgress,
): Promise<LabGuest> {
  let versions: PackageVersion[];
  try {
    versions = await resolveOrRefresh(workFolder, onProgress);
  } catch (error) {
    const older = await findBySameRecipe(cacheFolder);
    if (older === undefined) throw error;
    return older;
  }
  const digest = await digestRecipe(versions);
  const cached = readCached(cacheFolder, digest);
  if (cached !== undefined) return cached;
  return await withBuildLock(join(cacheFolder, 'build.lock'), onProgress, async () => {
    const builtMeanwhile = readCached(cacheFolder, digest);
    if (builtMeanwhile !== undefined) return builtMeanwhile;
    await checkSpace(cacheFolder);
    await build(cacheFolder, workFolder, versions, digest, onProgress);
    return readCached(cacheFolder, digest)!;
  });
}

const choice = {
  packages: recipe.packages,
  alsoWanted: (name: string) =>
    recipe.kernelPackage.test(name) || recipe.libraryPackages.test(name),
};

async function resolveOrRefresh(workFolder: string, onProgress: OnProgress) {
  try {
    return await resolvePackages(choice, workFolder);
  } catch (error) {
    if (!isUnderstudyError(error, 'E_GUEST_BUILD_FETCH')) throw error;
    onProgress('apt does not know the packages: apt-get update');
    await refreshPackageLists();
    return await resolvePackages(choice, workFolder);
  }
}

async function build(
  cacheFolder: string,
  workFolder: string,
  versions: readonly PackageVersion[],
  digest: string,
  onProgress: OnProgress,
): Promise<void> {
  const root = join(workFolder, 'root');
  await mkdir(root);
  onProgress(`downloading ${versions.length} Debian packages (not installed on this machine)`);
  await unpackPackages(versions, workFolder, root, (file) => onProgress(`unpacking ${file}`));
  onProgress('writing kernel and initramfs');
  const { kernel, initrd } = await makeImage(root);
  const finished = join(workFolder, 'finished');
  await mkdir(finished);
  await writeFile(join(finished, 'vmlinuz'), kernel);
  await writeFile(join(finished, 'initrd.cpio'), initrd);
  const manifest = { recipe: await digestRecipe([]), versions };
  await writeFile(join(finished, 'manifest.json'), `${JSON.stringify(manifest, null, 2)}\n`);
  await removeOldImages(cacheFolder);
  await rename(finished, join(cacheFolder, digest));
}

function readCached(cacheFolder: string, digest: string): LabGuest | undefined {
  const folder = join(cacheFolder, digest);
  // The folder was renamed into place when it was whole.
  if (!existsSync(folder)) return undefined;
  return {
    kernel: join(folder, 'vmlinuz'),
    initrd: join(folder, 'initrd.cpio'),
    append: recipe.append,
    recipeDigest: digest,
  };
}

const imageAgeMsMax = 24 * 3600 * 1000;
const imageFolderPattern = /^[0-9a-f]{16}$/;

async function findBySameRecipe(cacheFolder: string): Promise<LabGuest | undefined> {
  const wanted = await digestRecipe([]);
  for (const name of await readdir(cacheFolder)) {
    if (!imageFolderPattern.test(name)) continue;
    const manifest = await readFile(join(cacheFolder, name, 'manifest.json'), 'utf8');
    if (JSON.parse(manifest).recipe === wanted) return readCached(cacheFolder, name);
  }
  return undefined;
}

/** A drill that runs starts QEMU again and again: what was built lately stays for it. */
async function removeOldImages(cacheFolder: string): Promise<void> {
  for (const name of await readdir(cacheFolder)) {
    if (!imageFolderPattern.test(name)) continue;
    const folder = join(cacheFolder, name);
    const { mtimeMs } = await stat(folder);
    if (Date.now() - mtimeMs > imageAgeMsMax) await rm(folder, { recursive: true, force: true });
  }
}

/** Unpacked kernel package, libraries, and the image. */
const buildBytesMax = 400 * 1024 * 1024;

async function checkSpace(cacheFolder: string): Promise<void> {
  const { bavail, bsize } = await statfs(cacheFolder);
  if (bavail * bsize >= buildBytesMax) return;
  throw new UnderstudyError('E_GUEST_BUILD_SPACE', `no space for the lab guest in ${cacheFolder}`, {
    hint: 'The build takes 400 MiB in the cache folder: free some, or set XDG_CACHE_HOME.',
    fields: { cacheFolder, freeBytes: bavail * bsize, neededBytes: buildBytesMax },
  });
}

/** Gives `work` a folder beside the images, on the same file system, and removes it after. */
async function withWorkFolder<T>(cacheFolder: string, work: (folder: string) => Promise<T>) {
  const folder = await mkdtemp(join(cacheFolder, `work-${process.pid}-`));
  try {
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function explainCache(cacheFolder: string, error: unknown): unknown {
  const code = systemCode(error);
  if (isUnderstudyError(error) || code === undefined) return error;
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new UnderstudyError('E_GUEST_BUILD_SPACE', `no space left in ${cacheFolder}`, {
      hint: 'The build takes 400 MiB in the cache folder: free some, or set XDG_CACHE_HOME.',
      fields: { cacheFolder },
      cause: error,
    });
  }
  return new UnderstudyError('E_GUEST_BUILD_CACHE', `can't use ${cacheFolder}: ${code}`, {
    hint: 'The cache folder must be writable: set XDG_CACHE_HOME to one that is.',
    fields: { cacheFolder, systemCode: code },
    cause: error,
  });
}
