// Makes a checkout ready to run: Debian packages, npm packages, build. Says what it installs, and
// does nothing that is done already. `node setup/setup.mjs [--for run|test]`.
//
// Exit status: 0 ready, 1 something is missing that this script may not or could not install.
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

/** A Debian package, how its presence shows, and what needs it. */
const packages = [
  { name: 'qemu-system-x86', tool: 'qemu-system-x86_64', why: 'runs the guests', for: 'run' },
  { name: 'nats-server', tool: 'nats-server', why: 'carries the epochs', for: 'run' },
  { name: 'util-linux', tool: 'setpriv', why: 'ends children with their parent', for: 'run' },
  { name: 'iproute2', tool: 'ip', why: 'makes the networks of drills', for: 'run' },
  { name: 'tcpdump', tool: 'tcpdump', why: 'watches who speaks in a drill', for: 'run' },
  { name: 'e2fsprogs', tool: 'mkfs.ext4', why: 'makes and checks disks of drills', for: 'run' },
  { name: 'redis-tools', tool: 'redis-cli', why: 'checks databases of drills', for: 'run' },
  { name: 'gcc', tool: 'gcc', why: 'builds the memory shim', for: 'run' },
  { name: 'libc6-dev', file: '/usr/include/stdio.h', why: 'builds the memory shim', for: 'run' },
  { name: 'g++', tool: 'g++', why: 'builds the lz4 package', for: 'run' },
  { name: 'make', tool: 'make', why: 'builds the lz4 package', for: 'run' },
  { name: 'python3', tool: 'python3', why: 'builds the lz4 package', for: 'run' },
  { name: 'openssl', tool: 'openssl', why: 'makes certificates', for: 'test' },
  { name: 'git', tool: 'git', why: 'lists the files that the style test holds', for: 'test' },
  { name: 'passt', tool: 'passt', why: 'uplink without root', for: 'test' },
  { name: 'xxhash', tool: 'xxhsum', why: 'judges our hashes', for: 'test' },
  { name: 'libxxhash-dev', file: '/usr/include/xxhash.h', why: 'native baseline', for: 'test' },
  { name: 'spin', tool: 'spin', why: 'checks the model of the protocol', for: 'test' },
  { name: 'qemu-utils', tool: 'qemu-io', why: 'judges the disk server', for: 'test' },
  { name: 'libnbd-bin', tool: 'nbdinfo', why: 'judges the disk server', for: 'test' },
];

const purpose = process.argv.includes('--for') ? argumentAfter('--for') : 'run';

try {
  checkPlatform();
  installDebianPackages();
  installNpmPackages();
  execFileSync(process.execPath, [join(root, 'setup/build.mjs')], { stdio: 'inherit' });
} catch (error) {
  process.stderr.write(`setup: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
}

function checkPlatform() {
  const major = Number(process.versions.node.split('.')[0]);
  if (major < 20) throw new Error(`Node ${process.version} is too old; install Node 20 or newer`);
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new Error(`needs Linux on x86-64, this is ${process.platform} on ${process.arch}`);
  }
}

function installDebianPackages() {
  const wanted = packages.filter((p) => p.for === 'run' || p.for === purpose);
  const missing = wanted.filter((p) => !isPresent(p));
  if (missing.length === 0) return;
  const names = missing.map((p) => p.name);
  const line = `apt-get update && apt-get install -y --no-install-recommends ${names.join(' ')}`;
  for (const p of missing) say(`needs Debian package ${p.name} (${p.why})`);
  if (process.getuid?.() !== 0) throw new Error(`not root, so run this as root first:\n  ${line}`);
  if (findTool('apt-get') === undefined) {
    throw new Error(`no apt-get here; install by hand what Debian calls ${names.join(' ')}`);
  }
  say(`installing ${names.join(' ')}`);
  // Debian starts the services of some packages as they are installed; RUNLEVEL=1 asks it not to.
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' };
  const install = ['install', '-y', '--no-install-recommends', '-o', 'DPkg::Lock::Timeout=120'];
  for (const args of [['update'], [...install, ...names]]) {
    const ran = spawnSync('apt-get', args, { env, encoding: 'utf8' });
    if (ran.status !== 0) {
      const tail = `${ran.stdout}${ran.stderr}`.trim().split('\n').slice(-5).join('\n  ');
      throw new Error(`apt-get ${args[0]} failed:\n  ${tail}\nmend that, or run:\n  ${line}`);
    }
  }
  const absent = missing.filter((p) => !isPresent(p)).map((p) => p.name);
  if (absent.length > 0) throw new Error(`installed, but still not found: ${absent.join(' ')}`);
}

function installNpmPackages() {
  const lock = readFileSync(join(root, 'package-lock.json'));
  const digest = createHash('sha256').update(lock).update(process.version).digest('hex');
  const mark = join(root, 'node_modules/.understudy-installed');
  if (existsSync(mark) && readFileSync(mark, 'utf8') === digest) return;
  const { dependencies, devDependencies } = JSON.parse(
    readFileSync(join(root, 'package.json'), 'utf8'),
  );
  say(`installing npm packages: ${Object.keys({ ...dependencies, ...devDependencies }).join(' ')}`);
  const env = { ...process.env };
  // node-gyp downloads Node's headers unless it is told where they are.
  const prefix = dirname(dirname(process.execPath));
  if (existsSync(join(prefix, 'include/node/node.h'))) env.npm_config_nodedir ??= prefix;
  const ran = spawnSync('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: root,
    env,
    encoding: 'utf8',
  });
  if (ran.status !== 0) throw new Error(`npm ci failed:\n${ran.stdout}${ran.stderr}`.trim());
  writeFileSync(mark, digest);
}

function isPresent(p) {
  return p.tool === undefined ? existsSync(p.file) : findTool(p.tool) !== undefined;
}

function findTool(name) {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path));
}

function argumentAfter(flag) {
  const value = process.argv[process.argv.indexOf(flag) + 1];
  if (value !== 'run' && value !== 'test') throw new Error(`${flag} takes run or test`);
  return value;
}

function say(text) {
  process.stderr.write(`setup: ${text}\n`);
}
