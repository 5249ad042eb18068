import { execFile } from 'node:child_process';
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { systemCode, UnderstudyError } from '../../shared/errors.ts';

/**
 * Debian packages, unpacked into a folder and not installed. apt decides which versions belong
 * together, as for a machine on which nothing is installed.
 */

/** `name=version`, as apt takes and prints it. */
export type PackageVersion = string;

export interface PackageChoice {
  readonly packages: readonly string[];
  /** Which packages of the closure are wanted besides `packages`. */
  readonly alsoWanted: (name: string) => boolean;
}

/**
 * The versions that apt would install now, sorted. Throws `E_GUEST_BUILD_TOOL` or
 * `E_GUEST_BUILD_FETCH`.
 */
export async function resolvePackages(
  choice: PackageChoice,
  workFolder: string,
): Promise<PackageVersion[]> {
  const status = await emptyStatus(workFolder);
  const options = [...status, '-o', 'APT::Install-Recommends=false'];
  const text = await run('apt-get', ['-s', ...options, 'install', ...choice.packages]);
  const found: PackageVersion[] = [];
  for (const [, name, version] of text.matchAll(/^Inst (\S+) \((\S+)/gm)) {
    if (name === undefined || version === undefined) continue;
    if (choice.packages.includes(name) || choice.alsoWanted(name)) found.push(`${name}=${version}`);
  }
  return found.sort();
}

/** Refreshes apt's lists: the versions that they name may be gone from the archive. */
export async function refreshPackageLists(): Promise<void> {
  await run('apt-get', ['update']);
}

/** Downloads the packages into `folder` and unpacks them below `root`. */
export async function unpackPackages(
  versions: readonly PackageVersion[],
  folder: string,
  root: string,
  onUnpack: (file: string) => void,
): Promise<void> {
  const status = await emptyStatus(folder);
  const asRoot = process.getuid?.() === 0 ? ['-o', 'APT::Sandbox::User=root'] : [];
  await run('apt-get', [...status, ...asRoot, 'download', ...versions], folder);
  const files = (await readdir(folder)).filter((name) => name.endsWith('.deb')).sort();
  for (const file of files) {
    onUnpack(file);
    await run('dpkg-deb', ['-x', join(folder, file), root]);
  }
}

async function emptyStatus(folder: string): Promise<string[]> {
  const path = join(folder, 'empty-dpkg-status');
  await writeFile(path, '');
  return ['-o', `Dir::State::status=${path}`, '-o', 'Debug::NoLocking=true'];
}

const execFileAsync = promisify(execFile);

async function run(command: string, args: readonly string[], cwd?: string): Promise<string> {
  const env = { ...process.env, LC_ALL: 'C', DEBIAN_FRONTEND: 'noninteractive' };
  const options = { env, maxBuffer: 64 << 20, timeout: 300_000, ...(cwd && { cwd }) };
  try {
    return (await execFileAsync(command, args, options)).stdout;
  } catch (error) {
    throw explain(command, args, error);
  }
}

function explain(command: string, args: readonly string[], error: unknown): UnderstudyError {
  if (systemCode(error) === 'ENOENT') {
    return new UnderstudyError('E_GUEST_BUILD_TOOL', `the program ${command} is not here`, {
      hint: 'The lab guest is built from Debian packages: use Debian 12 or newer, or Ubuntu.',
      fields: { command },
      cause: error,
    });
  }
  const output = String((error as { stderr?: unknown }).stderr ?? error);
  const fields = { command: [command, ...args].join(' ').slice(0, 400) };
  const lastLines = output.trim().split('\n').slice(-6).join('\n');
  if (/no space left on device|not enough free disk space|don't have enough/i.test(output)) {
    return new UnderstudyError('E_GUEST_BUILD_SPACE', `no space for the lab guest: ${lastLines}`, {
      hint: 'The build takes 400 MiB in the cache folder: free some, or set XDG_CACHE_HOME.',
      fields,
      cause: error,
    });
  }
  if (command === 'dpkg-deb') {
    return new UnderstudyError('E_GUEST_BUILD_PACKAGE', `dpkg-deb failed: ${lastLines}`, {
      hint: 'A package may have been damaged on its way: try again.',
      fields,
      cause: error,
    });
  }
  return new UnderstudyError('E_GUEST_BUILD_FETCH', `apt-get failed: ${lastLines}`, {
    hint:
      'Packages must be within reach: look at the network and /etc/apt/sources.list*, and try ' +
      '`apt-get update`.',
    fields,
    cause: error,
  });
}
