import test from 'ava';
import type { MeasuredRow, Row } from '../../bench/row.ts';
import { judge } from '../../bench/targets.ts';

const row = (id: string, unit: MeasuredRow['unit'], values: number[]): MeasuredRow => ({
  ...{ id, what: id, unit, values },
});

function verdictOf(rows: readonly Row[], target: RegExp) {
  const found = judge(rows).filter((verdict) => target.test(verdict.target));
  if (found.length !== 1) throw new Error(`${found.length} targets match ${target}`);
  return found[0]!;
}

test('without rows every number to reach is "not measured", none is met', (t) => {
  const verdicts = judge([]);
  t.is(verdicts.length, 23);
  for (const { verdict, measured } of verdicts) {
    t.is(verdict, 'not measured');
    t.regex(measured, /not in this run/);
  }
});

test('a row that could not be measured gives its reason, not a verdict', (t) => {
  const missing = { id: 'takeover.after-detection', what: 'x', notRun: 'E_QEMU: no QEMU here' };
  const { verdict, measured } = verdictOf([missing], /Takeover of a warm/);
  t.is(verdict, 'not measured');
  t.regex(measured, /no QEMU here/);
});

test('a limit is held against the median, and reaching it counts', (t) => {
  const takeover = (values: number[]) =>
    verdictOf([row('takeover.after-detection', 'ms', values)], /Takeover of a warm/).verdict;
  t.is(takeover([90, 100, 500]), 'met');
  t.is(takeover([90, 100.1, 500]), 'not met');
  const wire = (share: number) =>
    verdictOf([row('wire.key-value', 'share', [share])], /Wire bytes/).verdict;
  t.is(wire(0.33), 'met');
  t.is(wire(0.34), 'not met');
});

test('the pipeline is held against its slowest workload, and names it', (t) => {
  const pipeline = (slowest: number, target: RegExp) =>
    verdictOf(
      [
        row('pipeline.sync', 'pages/s', [400_000]),
        row('pipeline.mix', 'pages/s', [600_000]),
        { ...row('pipeline.slowest', 'pages/s', [slowest]), note: 'log lines' },
      ],
      target,
    );
  t.is(pipeline(100_000, /pipeline: at least 100,000/).verdict, 'met');
  t.is(pipeline(99_999, /pipeline: at least 100,000/).verdict, 'not met');
  t.is(pipeline(149_999, /pipeline.*150,000/).verdict, 'not met');
  t.is(pipeline(150_000, /pipeline.*150,000/).verdict, 'met');
  t.regex(pipeline(70_000, /100,000/).measured, /slowest 70,000 pages\/s with log lines/);
});

test('two cores are held against one, workload by workload', (t) => {
  const threads = (ratios: readonly number[]) =>
    verdictOf(
      ['mix', 'text', 'sequential'].map((name, i) => ({
        ...row(`threads.${name}-2`, 'pages/s', [1]),
        against: { id: `threads.${name}-1`, ratios: [ratios[i]!] },
      })),
      /two cores/,
    );
  t.is(threads([1.7, 1.9, 1.8]).verdict, 'met');
  t.is(threads([1.9, 1.69, 1.8]).verdict, 'not met');
  t.regex(threads([1.9, 1.69, 1.8]).measured, /log lines 1.69/);
});

test('the hash is measured against native, or by its own speed', (t) => {
  const hash = (ratio: number, rate: number) => {
    const against = { id: 'native.xxh3', ratios: [ratio] };
    const rows = [{ ...row('hash.xxh3-batch-native', 'GB/s', [rate]), against }];
    return verdictOf(rows, /native XXH3 loop/).verdict;
  };
  t.is(hash(0.8, 5), 'met');
  t.is(hash(0.5, 9), 'met');
  t.is(hash(0.79, 8.9), 'not met');
});

test('the pause must stay below twice its floor on both guests, and in the agent', (t) => {
  const pause = (idle: number, busy: number, agent: number) => {
    const rows = [
      { name: 'idle', floor: 'idle', ratio: idle },
      { name: 'key-value', floor: 'key-value', ratio: busy },
      { name: 'agent-idle', floor: 'idle', ratio: agent },
    ].map(({ name, floor, ratio }) => ({
      ...row(`pause.${name}`, 'ms', [3]),
      against: { id: `pause-floor.${floor}`, ratios: [ratio] },
    }));
    return verdictOf(rows, /sum of its floor/).verdict;
  };
  t.is(pause(1.2, 2, 1.9), 'met');
  t.is(pause(1.2, 2.1, 1), 'not met');
  t.is(pause(1.2, 1, 2.1), 'not met');
});

test('memory is judged by its highest sample, at both sizes', (t) => {
  const memory = (small: number[], large: number[]) => {
    const rows = [row('memory.primary', 'MiB', small), row('memory.primary-4gib', 'MiB', large)];
    return verdictOf(rows, /Memory beside/).verdict;
  };
  t.is(memory([300, 456], [1224]), 'met');
  t.is(memory([300, 457, 300], [1000]), 'not met');
  t.is(memory([300], [1225]), 'not met');
});

test('a guest works only if every check held', (t) => {
  const works = (share: number) => {
    const rows = [
      { ...row('works.1gib', 'share', [1]), note: '1 GiB' },
      { ...row('works.4gib', 'share', [share]), note: '4 GiB' },
    ];
    return verdictOf(rows, /4 GiB works/).verdict;
  };
  t.is(works(1), 'met');
  t.is(works(0.999), 'not met');
});

test('a disk is held against qemu-nbd by its slowest load', (t) => {
  const sequential = (read: number, write: number) =>
    verdictOf(
      [['read', read] as const, ['write', write] as const].map(([name, ratio]) => ({
        ...row(`disk.seq-${name}`, 'GB/s', [1]),
        against: { id: `qemu-nbd.seq-${name}`, ratios: [ratio] },
      })),
      /Disk, sequential/,
    ).verdict;
  t.is(sequential(0.6, 2), 'met');
  t.is(sequential(2, 0.59), 'not met');
});

test('live rounds are held against the growth of the median, not against one pause', (t) => {
  const pauses = (few: number[], many: number[]) => [
    row('live.1000', 'ms', few),
    row('live.5000', 'ms', few),
    row('live.25000', 'ms', many),
    row('live-none.1000', 'ms', [3]),
    row('live-none.25000', 'ms', [30]),
  ];
  const grows = (few: number[], many: number[]) => verdictOf(pauses(few, many), /grows/);
  t.is(grows([2, 2, 9], [3, 4, 9]).verdict, 'met');
  t.is(grows([2, 2, 9], [3, 4.1, 9]).verdict, 'not met');
  t.regex(grows([2], [3]).measured, /1\.50; without live rounds 10\.0/);
  const limits = (values: number[]) => verdictOf(pauses([2], values), /3 ms median/).verdict;
  t.is(limits([3, 3, 9]), 'met');
  t.is(limits([3, 3, 11]), 'not met');
});

test('a switchover is held against 100 ms, and told as a multiple of what QEMU alone takes', (t) => {
  const pair = (ms: number) => [
    { ...row('switchover.pair', 'ms', [ms]), against: { id: 'switchover.qemu', ratios: [1.5] } },
  ];
  t.is(verdictOf(pair(100), /^Switchover/).verdict, 'met');
  t.like(verdictOf(pair(101), /^Switchover/), { verdict: 'not met' });
  t.regex(verdictOf(pair(101), /^Switchover/).measured, /1\.50? times what QEMU alone takes/);
});

test('a takeover with a disk is held against one without', (t) => {
  const more = (withDisk: number, without: number) =>
    verdictOf(
      [row('takeover-disk.with', 'ms', [withDisk]), row('takeover-disk.without', 'ms', [without])],
      /with a disk/,
    );
  t.is(more(150, 100).verdict, 'met');
  t.is(more(151, 100).verdict, 'not met');
});

test('a minute of many pages is judged by its rate, its length and whether lag grew', (t) => {
  const of = (pages: number[], first: number, last: number) =>
    verdictOf(
      [
        row('sustained.pages', 'pages/s', pages),
        row('sustained.lag-first', 'ms', [first]),
        row('sustained.lag-last', 'ms', [last]),
      ],
      /for a minute/,
    ).verdict;
  const minute = Array<number>(60).fill(26_000);
  t.is(of(minute, 40, 50), 'met');
  t.is(of(minute, 40, 51), 'not met');
  t.is(of(minute.slice(0, 20), 40, 40), 'not met');
  t.is(of(Array<number>(60).fill(24_999), 40, 40), 'not met');
});
