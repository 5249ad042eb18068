import { epoch } from './epoch-section.ts';
import { choice, type Field, type GroupField, group, type ValueOf } from './field.ts';
import { guestKeys } from './guest-keys.ts';
import * as section from './sections.ts';
import * as verify from './verify-keys.ts';

/** Which file has which section. The one place that says so. */
export const schemas = {
  primary: group('The agent beside the running guest.', {
    role: ownRole('primary'),
    mode: section.mode,
    guest: guestKeys,
    nats: section.nats,
    arbiter: section.arbiter,
    epoch,
    tracker: section.tracker,
    identify: section.identify,
    share: section.share,
    compress: section.compress,
    pipeline: section.pipeline,
    flow: section.flow,
    heartbeat: section.heartbeat,
    output: section.output,
    verify: group('Comparison of both sides.', {
      everyEpochs: verify.everyEpochs,
      disksEveryMinutes: verify.disksEveryMinutes,
    }),
    baseline: section.baseline,
    log: section.log,
  }),
  backup: group('The agent that stands by.', {
    role: ownRole('backup'),
    mode: section.mode,
    guest: guestKeys,
    nats: section.nats,
    arbiter: section.arbiter,
    heartbeat: section.heartbeat,
    output: section.output,
    verify: group('What is checked before the guest runs here.', {
      atTakeover: verify.atTakeover,
    }),
    staging: section.staging,
    takeover: section.takeover,
    log: section.log,
  }),
  lab: group('A drill: both sides, and all that they need, on one machine.', {
    role: ownRole('lab'),
    mode: section.mode,
    guest: guestKeys,
    epoch,
    tracker: section.tracker,
    identify: section.identify,
    share: section.share,
    compress: section.compress,
    pipeline: section.pipeline,
    flow: section.flow,
    heartbeat: section.heartbeat,
    output: section.output,
    verify: group('What is checked, and when.', {
      everyEpochs: verify.everyEpochs,
      atTakeover: verify.atTakeover,
    }),
    baseline: section.baseline,
    staging: section.staging,
    drill: section.drill,
    log: section.log,
  }),
} as const;

export type ConfigRole = keyof typeof schemas;
export type PrimaryConfig = ValueOf<typeof schemas.primary>;
export type BackupConfig = ValueOf<typeof schemas.backup>;
export type LabConfig = ValueOf<typeof schemas.lab>;
export type GuestSection = PrimaryConfig['guest'];
export type OutputSection = PrimaryConfig['output'];
export type LogSection = PrimaryConfig['log'];

export interface ConfigOf {
  readonly primary: PrimaryConfig;
  readonly backup: BackupConfig;
  readonly lab: LabConfig;
}
export type AnyConfig = ConfigOf[ConfigRole];

export const configRoles = Object.keys(schemas) as readonly ConfigRole[];

export const isConfigRole = (value: unknown): value is ConfigRole =>
  configRoles.includes(value as ConfigRole);

/** The configuration of a file that says nothing but the guest's name. */
export function defaults<R extends ConfigRole>(role: R, guestName: string): ConfigOf[R] {
  const config = fallbackOf(schemas[role]) as { readonly guest: object };
  const guest = { ...config.guest, name: guestName };
  return { ...config, role, guest } as unknown as ConfigOf[R];
}

/** What a key is when the file does not say; `undefined` where it has to. */
export function fallbackOf(field: Field): unknown {
  if (field.nullable || field.kind !== 'group') return field.fallback;
  const keys = Object.entries(field.keys);
  return Object.fromEntries(keys.map(([name, key]) => [name, fallbackOf(key)]));
}

/** The roles whose files know the key `path` (names only: no list positions). */
export function rolesWith(path: readonly string[]): readonly ConfigRole[] {
  return configRoles.filter((role) => fieldAt(schemas[role], path) !== undefined);
}

function fieldAt(schema: GroupField, path: readonly string[]): Field | undefined {
  let field: Field = schema;
  for (const name of path) {
    while (field.kind === 'list') field = field.item;
    if (field.kind !== 'group' || !Object.hasOwn(field.keys, name)) return undefined;
    field = field.keys[name]!;
  }
  return field;
}

function ownRole<const R extends string>(role: R) {
  return choice([role], {
    what: 'Whose file this is: `primary`, `backup` or `lab`.',
    why: 'Each role has its own keys.',
  });
}
