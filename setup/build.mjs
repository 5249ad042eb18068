// Builds what is out of date: kernels (AssemblyScript), preloaded libraries (C), everything else
// (TypeScript). `node setup/build.mjs [wasm|native|ts …]`; without names, all of them.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const parts = { wasm: buildWasm, native: buildNative, ts: buildTypeScript };
const asked = process.argv.slice(2);
for (const name of asked.length > 0 ? asked : Object.keys(parts)) {
  const build = parts[name];
  if (build === undefined) {
    process.stderr.write(`build: no part "${name}"; there are ${Object.keys(parts).join(', ')}\n`);
    process.exit(2);
  }
  build();
}

/** Twice: with memory of an instance's own, and with memory that threads share. */
function buildWasm() {
  buildKernels('kernels.wasm', []);
  const shared = ['--enable', 'threads', '--sharedMemory', '--maximumMemory', '65536'];
  buildKernels('kernels-shared.wasm', shared);
}

function buildKernels(name, options) {
  const out = join(root, 'dist/wasm', name);
  if (isFresh(out, join(root, 'wasm'), /\.ts$/)) return;
  mkdirSync(join(root, 'dist/wasm'), { recursive: true });
  run('npx', [
    ...['--no-install', 'asc', 'wasm/kernels.ts', '--outFile', `${out}.new`],
    ...['-O3', '--noAssert', '--runtime', 'stub', '--importMemory', '--enable', 'simd'],
    ...options,
  ]);
  renameSync(`${out}.new`, out);
}

function buildNative() {
  const flags = ['-O2', '-std=c11', '-Wall', '-Wextra', '-Werror', '-fPIC', '-shared'];
  for (const name of ['memory-shim', 'slow-disk']) {
    const out = join(root, `dist/native/${name}.so`);
    if (isFresh(out, join(root, 'native'), /\.c$/)) continue;
    mkdirSync(join(root, 'dist/native'), { recursive: true });
    run('gcc', [...flags, '-o', `${out}.new`, join(root, `native/${name}.c`), '-ldl']);
    renameSync(`${out}.new`, out);
  }
}

function buildTypeScript() {
  run('npx', ['--no-install', 'tsc']);
}

/** True where `out` is newer than every file below `folder` whose name matches. */
function isFresh(out, folder, pattern) {
  if (!existsSync(out)) return false;
  const builtAt = statSync(out).mtimeMs;
  return readdirSync(folder, { recursive: true })
    .filter((name) => pattern.test(name))
    .every((name) => statSync(join(folder, name)).mtimeMs < builtAt);
}

function run(command, args) {
  execFileSync(command, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] });
}
