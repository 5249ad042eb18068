import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { parse } from 'yaml';
import { explainConfig } from '../../../shared/config/explain.ts';
import type { Field } from '../../../shared/config/field.ts';
import { jsonSchema } from '../../../shared/config/json-schema.ts';
import { keyTables } from '../../../shared/config/key-table.ts';
import { loadConfig, parseConfig } from '../../../shared/config/load.ts';
import { printConfig } from '../../../shared/config/print.ts';
import { configRoles, defaults, schemas } from '../../../shared/config/schema.ts';
import { findMismatch } from './json-schema-check.ts';

const root = fileURLToPath(new URL('../../../..', import.meta.url));
const folder = join(root, 'configs');
const files = readdirSync(folder).filter((name) => name.endsWith('.yaml'));

test('there is a file to start from for each role', (t) => {
  const roles = files.map((name) => loadConfig(join(folder, name)).role);
  for (const role of configRoles) t.true(roles.includes(role), role);
});

for (const name of files) {
  const text = readFileSync(join(folder, name), 'utf8');

  test(`configs/${name} has every key, each explained above it`, (t) => {
    const config = parseConfig(text, join(folder, name));
    t.is(text, explainConfig(config), `understudy config print --explain configs/${name}`);
  });

  test(`configs/${name} agrees with the JSON Schema`, (t) => {
    t.is(findMismatch(jsonSchema(), parse(text)), undefined);
  });
}

test('configs/understudy.schema.json is what `understudy config schema` prints', (t) => {
  const file = readFileSync(join(folder, 'understudy.schema.json'), 'utf8');
  t.deepEqual(JSON.parse(file), JSON.parse(JSON.stringify(jsonSchema())));
});

test('the key tables of docs/OPERATIONS.md are what `understudy config keys` prints', (t) => {
  const docs = readFileSync(join(root, 'docs/OPERATIONS.md'), 'utf8');
  t.true(docs.includes(`\n${keyTables()}`));
});

const refusedBySchema: Record<string, unknown> = {
  'an unknown key': { epoch: { interval: 1 } },
  'a number out of range': { epoch: { intervalMs: 1 } },
  'a size without unit': { flow: { window: '16M' } },
  "a key of another role's file": { staging: {} },
  'a flag that is none': { share: { enabled: 'yes' } },
  'a value that is none of the choices': { tracker: 'best' },
  'another word than off for encryption': { nats: { tls: 'no' } },
};
for (const [what, wrong] of Object.entries(refusedBySchema)) {
  test(`the JSON Schema refuses ${what}`, (t) => {
    const right = { role: 'primary', guest: { name: 'lab', kernel: 'k' } };
    t.is(findMismatch(jsonSchema(), right), undefined);
    t.not(findMismatch(jsonSchema(), { ...right, ...(wrong as object) }), undefined);
  });
}

for (const role of configRoles) {
  test(`the defaults of a ${role}'s file are within its rules`, (t) => {
    const { guest, ...rest } = defaults(role, 'lab');
    const config = { ...rest, guest: { ...guest, kernel: '/k' } } as typeof rest & {
      guest: typeof guest;
    };
    t.deepEqual(parseConfig(printConfig(config as never), 'file.yaml'), config as never);
  });

  test(`every key of a ${role}'s file says what it is and why one would change it`, (t) => {
    for (const [name, field] of walk(schemas[role], role)) {
      t.regex(field.what, /^[A-Z`].*[.]$/s, name);
      if (field.kind === 'group') continue;
      if (!name.endsWith('[]')) t.regex(field.why, /^[A-Z`].*[.]$/s, name);
    }
  });
}

test('printing a configuration and reading it back gives the same', (t) => {
  for (const name of files) {
    const config = loadConfig(join(folder, name));
    t.deepEqual(parseConfig(printConfig(config), '/elsewhere/file.yaml'), config);
    t.deepEqual(parseConfig(explainConfig(config), '/elsewhere/file.yaml'), config);
  }
  const clear = 'role: primary\nguest: {name: lab, kernel: k}\nnats: {tls: off}\n';
  const config = parseConfig(clear, '/elsewhere/file.yaml');
  t.deepEqual(parseConfig(printConfig(config), '/elsewhere/file.yaml'), config);
  t.is(findMismatch(jsonSchema(), parse(clear)), undefined);
});

function* walk(field: Field, name: string): Iterable<[string, Field]> {
  yield [name, field];
  if (field.kind === 'list') yield* walk(field.item, `${name}[]`);
  if (field.kind !== 'group') return;
  for (const [key, child] of Object.entries(field.keys)) yield* walk(child, `${name}.${key}`);
}
