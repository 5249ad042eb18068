import { bounds } from '../bounds.ts';

/** A stream's configuration as JetStream gives and takes it. */
export type StreamConfig = Readonly<Record<string, unknown>>;

/**
 * What the stream of terms is made with. One message per subject, and a new one refused where
 * there is one: the server itself then sees to it that a term is created once.
 */
export function streamSettings(name: string, subjects: string, replicas: number): StreamConfig {
  return {
    name,
    subjects: [subjects],
    retention: 'limits',
    storage: 'file',
    num_replicas: replicas,
    max_consumers: -1,
    max_msgs: -1,
    max_bytes: -1,
    max_age: 0,
    max_msgs_per_subject: 1,
    max_msg_size: 2 * bounds.termRecordBytesMax,
    discard: 'new',
    discard_new_per_subject: true,
    deny_delete: true,
    deny_purge: true,
    allow_rollup_hdrs: false,
    // Nanoseconds.
    duplicate_window: 120_000_000_000,
  };
}

export interface StreamFault {
  /** Which setting, as it is and as it should be. */
  readonly words: string;
  /** False where only a new stream can have it. */
  readonly changeable: boolean;
}

/** What in `config` can lose a term, or keep one from being created. */
export function faultsOf(config: StreamConfig, wanted: StreamConfig): StreamFault[] {
  const faults: StreamFault[] = [];
  const must = (key: string, holds: boolean, expected: string, changeable = true): void => {
    if (holds) return;
    const found = JSON.stringify(config[key]) ?? 'not set';
    faults.push({ words: `${key} is ${found} and must be ${expected}`, changeable });
  };
  const unlimited = (key: string): void => must(key, limitOf(config, key) <= 0, 'unlimited (-1)');
  const off = (key: string, changeable = true): void =>
    must(key, config[key] !== true, 'false', changeable);
  const absent = (key: string, changeable = true): void =>
    must(key, config[key] === undefined || config[key] === null, 'absent', changeable);

  must('storage', config.storage === 'file', 'file: memory forgets at a restart', false);
  must('retention', config.retention === 'limits', 'limits', false);
  must(
    'num_replicas',
    config.num_replicas === wanted.num_replicas,
    `${String(wanted.num_replicas)}, as configured`,
  );
  const subjects = JSON.stringify(wanted.subjects);
  must('subjects', JSON.stringify(config.subjects) === subjects, subjects);
  must('max_age', limitOf(config, 'max_age') <= 0, 'unlimited (0)');
  unlimited('max_msgs');
  unlimited('max_bytes');
  must(
    'max_msgs_per_subject',
    limitOf(config, 'max_msgs_per_subject') <= 0 || refusesSecond(config),
    '1 with discard new and discard_new_per_subject',
  );
  const size = limitOf(config, 'max_msg_size');
  const least = bounds.termRecordBytesMax;
  must('max_msg_size', size <= 0 || size >= least, `unlimited (-1) or at least ${least}`);
  off('no_ack');
  off('allow_rollup_hdrs');
  off('allow_msg_ttl', false);
  off('sealed', false);
  absent('mirror', false);
  absent('sources');
  absent('subject_transform');
  return faults;
}

/** What would keep terms from hands and accidents. */
export function wishesOf(config: StreamConfig): string[] {
  const wishes: string[] = [];
  if (config.deny_delete !== true) wishes.push('deny_delete: terms can be deleted');
  if (config.deny_purge !== true) wishes.push('deny_purge: terms can be purged');
  if (!refusesSecond(config)) {
    wishes.push(
      'max_msgs_per_subject 1 with discard new and discard_new_per_subject: a term can be ' +
        'published a second time by hand',
    );
  }
  return wishes;
}

/**
 * A line for a shell with the `nats` command (natscli). With `config`: gives the stream the
 * settings that it lacks and keeps the others; without: removes the stream.
 */
export function commandFor(
  stream: string,
  config: StreamConfig | null = null,
  wanted: StreamConfig = {},
): string {
  if (config === null) return `nats request '$JS.API.STREAM.DELETE.${stream}' ''`;
  const kept = Object.entries(config).filter(([key]) => !rejected.includes(key));
  const settings = { ...Object.fromEntries(kept), ...wanted };
  const body = JSON.stringify(settings).replaceAll("'", "'\\''");
  return `nats request '$JS.API.STREAM.UPDATE.${stream}' '${body}'`;
}

/** Settings that have no wanted value and have to go. */
const rejected: readonly string[] = ['no_ack', 'sources', 'subject_transform'];

const refusesSecond = (config: StreamConfig): boolean =>
  limitOf(config, 'max_msgs_per_subject') === 1 &&
  config.discard === 'new' &&
  config.discard_new_per_subject === true;

/** A limit that is not set is none. */
const limitOf = (config: StreamConfig, key: string): number => {
  const value = config[key];
  return typeof value === 'number' ? value : -1;
};
