import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';

/** The rules that keep the house in order: sizes, arrows, names, nothing dead. */

const root = fileURLToPath(new URL('../..', import.meta.url));
const tracked = execFileSync('git', ['ls-files', '-co', '--exclude-standard'], {
  cwd: root,
  encoding: 'utf8',
})
  .split('\n')
  .filter((path) => path !== '');
const sources = tracked.filter((path) => path.endsWith('.ts') && !path.endsWith('.d.ts'));
const product = sources.filter((path) => !/^(test|wasm)\//.test(path));

/** Folder → folders whose files it may import. */
const arrows: Record<string, readonly string[]> = {
  shared: ['shared'],
  primary: ['primary', 'shared'],
  backup: ['backup', 'shared'],
  drill: ['drill', 'shared', 'primary', 'backup'],
  cli: ['cli', 'primary', 'backup', 'drill', 'shared'],
  bench: ['bench', 'primary', 'backup', 'shared', 'drill'],
  test: ['test', 'primary', 'backup', 'shared', 'cli', 'drill', 'bench'],
};

/** Outside library → the one file that may import it. */
const soleImporters: Record<string, string> = {
  nats: 'shared/transport/nats-transport.ts',
  lz4: 'shared/codec/general.ts',
  'xxhash-wasm': 'shared/codec/digest.ts',
  pino: 'shared/observe/log.ts',
  koffi: 'shared/native/libc.ts',
};

/** Parts of the product that tests, simulation and benchmarks are made of. */
const forTests =
  /^(shared\/guest\/synthetic-|shared\/transport\/memory-bus|shared\/arbiter\/memory-|primary\/(capture\/synthetic-|pipeline\/local-))/;

/** Started by name, not by import: command, worker, or bench entry points. */
const entryPoints =
  /^(cli\/main|bench\/(paper\/)?main|drill\/main|.*-worker|bench\/.*-child|test\/.*)\.ts$/;

interface Import {
  readonly from: string;
  readonly target: string;
  readonly typeOnly: boolean;
}

function importsOf(path: string): Import[] {
  const text = readFileSync(join(root, path), 'utf8');
  const pattern =
    /^\s*(?:import|export)\s+(type\s+)?(?:[^'";]*?\sfrom\s+)?'([^']+)'|import\('([^']+)'\)/gm;
  return [...text.matchAll(pattern)].map((match) => {
    const name = match[2] ?? match[3]!;
    const target = name.startsWith('.') ? normalize(join(dirname(path), name)) : name;
    return { from: path, target, typeOnly: match[1] !== undefined };
  });
}

const imports = sources.filter((path) => !path.startsWith('wasm/')).flatMap(importsOf);

test('each folder imports only what the map allows', (t) => {
  const wrong = imports.filter(({ from, target }) => {
    if (!target.endsWith('.ts')) return false;
    const allowed = arrows[from.split('/')[0]!];
    return allowed === undefined || !allowed.includes(target.split('/')[0]!);
  });
  t.deepEqual(wrong, []);
  t.true(imports.length > 100, 'the pattern finds imports');
});

test('each library that touches the wire or the machine has one importer', (t) => {
  const wrong = imports.filter(({ from, target }) => {
    const library = target.startsWith('@') ? target.split('/').slice(0, 2).join('/') : target;
    const sole = soleImporters[library.split('/')[0]!];
    return sole !== undefined && from !== sole && !from.startsWith('test/');
  });
  t.deepEqual(wrong, []);
});

test('plain things in shared import nothing but plain things', (t) => {
  const plain = /^shared\/[^/]+\.ts$/;
  const wrong = imports.filter(
    ({ from, target }) => plain.test(from) && !plain.test(target) && !target.startsWith('node:'),
  );
  t.deepEqual(wrong, []);
});

test('no cycle of imports between files', (t) => {
  const graph = new Map<string, string[]>();
  for (const { from, target, typeOnly } of imports) {
    if (typeOnly || !target.endsWith('.ts')) continue;
    graph.set(from, [...(graph.get(from) ?? []), target]);
  }
  t.deepEqual(findCycle(graph), undefined);
});

test('no cycle of imports between the folders of shared', (t) => {
  const folderOf = (path: string): string => path.split('/').slice(0, 2).join('/');
  const graph = new Map<string, string[]>();
  for (const { from, target } of imports) {
    if (!from.startsWith('shared/') || !target.startsWith('shared/')) continue;
    const [source, goal] = [folderOf(from), folderOf(target)];
    if (source !== goal) graph.set(source, [...(graph.get(source) ?? []), goal]);
  }
  t.deepEqual(findCycle(graph), undefined);
});

test('files stay short and lines stay narrow', (t) => {
  const long = product
    .map((path) => ({ path, lines: readFileSync(join(root, path), 'utf8').split('\n') }))
    .filter(({ lines }) => lines.length > 400 || lines.some((line) => line.length > 110))
    .map(({ path, lines }) => `${path} (${lines.length} lines)`);
  t.deepEqual(long, []);
});

test('files are named after a noun, in kebab case', (t) => {
  const wrong = sources.filter((path) => {
    const name = path
      .split('/')
      .at(-1)!
      .replace(/(\.test)?\.ts$/, '');
    const vague = /^(utils?|helpers?|common|misc|tools?)$/;
    return !/^[a-z0-9]+(-[a-z0-9]+)*$/.test(name) || path.split('/').some((p) => vague.test(p));
  });
  t.deepEqual(wrong, []);
});

test('every product file is used', (t) => {
  const used = new Set(
    imports.filter(({ from }) => !from.startsWith('test/')).map(({ target }) => target),
  );
  const dead = product.filter(
    (path) => !used.has(path) && !entryPoints.test(path) && !forTests.test(path),
  );
  t.deepEqual(dead, []);
});

test('tests mirror the source', (t) => {
  const folders = new Set(product.map((path) => dirname(path)));
  const free = /^test\/(tidy|wire|sim|integration|wasm|native|setup|configs|docs|cli)/;
  const astray = sources
    .filter((path) => path.endsWith('.test.ts') && !free.test(path))
    .filter((path) => !folders.has(relative('test', dirname(path))));
  t.deepEqual(astray, []);
});

test('no commit carries a path of one machine', (t) => {
  const marks = ['/work/', '/farm/', '/root/'].map(
    (mark) => new RegExp(`(^|[^A-Za-z0-9_.])${mark}`),
  );
  const wrong = tracked
    .filter(
      (path) => /\.(ts|mjs|c|md|ya?ml|json|sh|txt)$/.test(path) && path !== 'test/tidy.test.ts',
    )
    .filter((path) => {
      const text = readFileSync(join(root, path), 'utf8');
      return marks.some((mark) => mark.test(text));
    });
  t.deepEqual(wrong, []);
});

function findCycle(graph: Map<string, string[]>): string[] | undefined {
  const done = new Set<string>();
  const path: string[] = [];
  const visit = (node: string): string[] | undefined => {
    const at = path.indexOf(node);
    if (at >= 0) return [...path.slice(at), node];
    if (done.has(node)) return undefined;
    path.push(node);
    for (const next of graph.get(node) ?? []) {
      const cycle = visit(next);
      if (cycle !== undefined) return cycle;
    }
    path.pop();
    done.add(node);
    return undefined;
  };
  for (const node of graph.keys()) {
    const cycle = visit(node);
    if (cycle !== undefined) return cycle;
  }
  return undefined;
}
