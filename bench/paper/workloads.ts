const mib = 2 ** 20;

/** What a guest does in the comparison with the paper. */
export interface Workload {
  readonly name: WorkloadName;
  /** What it does, and the workload of the papers that it stands for. */
  readonly about: string;
  readonly memoryBytes: number;
  /** Words for the guest's command line: drill/lab-guest/init.sh and guest/init.sh explain them. */
  readonly load: string;
  /** What counts its work: a key in the guest's store, its commands, or bytes that clients get. */
  readonly work: 'counter' | 'progress' | 'commands' | 'downloads' | 'pages';
}

export type WorkloadName =
  | ('idle' | 'web' | 'ep' | 'dynamic' | 'mix' | 'memory-256' | 'memory-512')
  | ('redis' | 'compile' | 'gzip' | 'bzip2');

export const workloads: readonly Workload[] = [
  {
    ...{ name: 'idle', memoryBytes: 512 * mib, load: 'lab.load=none', work: 'counter' },
    about: 'Nothing but a counter, 50 times a second. The paper’s "idle".',
  },
  {
    ...{ name: 'web', memoryBytes: 512 * mib, load: 'bench.load=web', work: 'downloads' },
    about: `nginx; 100 connections download a file of 256 KiB over and over. The paper’s static
web application.`,
  },
  {
    ...{ name: 'ep', memoryBytes: 512 * mib, load: 'bench.load=ep', work: 'progress' },
    about: `The kernel of NPB-EP: pairs of Gaussian deviates out of batches of random numbers, on
one virtual CPU, 16 arrays of 256 KiB in turn.`,
  },
  {
    ...{ name: 'dynamic', memoryBytes: 512 * mib, load: 'bench.load=dynamic', work: 'pages' },
    about: `A shop whose pages are made by a CGI script, in processes of their own (shell and
awk, a catalogue, a file for each visitor), six at a time; 100 connections ask for one
page after the other. The paper’s dynamic web application, SPECweb.`,
  },
  {
    ...{ name: 'mix', memoryBytes: 512 * mib, work: 'progress' },
    load: 'bench.load=mix bench.args=6',
    about: `Six users develop software at the same time: they copy, edit, compile, search, sort,
compare, archive, compress and delete, each in a script over a tree of sources, as SPEC’s SDET has
it. The paper’s SPECsys.`,
  },
  {
    ...{ name: 'memory-256', memoryBytes: 512 * mib, work: 'progress' },
    load: 'bench.load=write-loop bench.args=256,2000',
    about: `A loop that writes one block in eight of each page of 256 MiB, one page after the other,
with a small computation before each. The memory-bound workload, and the memory-write loop of the
data-filter paper.`,
  },
  {
    ...{ name: 'memory-512', memoryBytes: 1024 * mib, work: 'progress' },
    load: 'bench.load=write-loop bench.args=512,2000',
    about: 'The same over 512 MiB.',
  },
  {
    ...{ name: 'redis', memoryBytes: 512 * mib, load: 'bench.load=store', work: 'commands' },
    about: `Redis, to which redis-benchmark in the guest writes 100,000 keys as fast as it goes: an
in-memory store under load.`,
  },
  {
    ...{ name: 'compile', memoryBytes: 512 * mib, load: 'bench.load=compile', work: 'progress' },
    about: 'tcc compiles one C file of 200 functions, over and over, each time in a new process.',
  },
  {
    ...{ name: 'gzip', memoryBytes: 512 * mib, work: 'progress' },
    load: 'bench.load=compress bench.args=gzip',
    about: 'gzip (BusyBox) compresses 128 KiB of text over and over.',
  },
  {
    ...{ name: 'bzip2', memoryBytes: 512 * mib, work: 'progress' },
    load: 'bench.load=compress bench.args=bzip2',
    about: 'bzip2 (BusyBox) does the same.',
  },
];

export function workloadOf(name: WorkloadName): Workload {
  return workloads.find((one) => one.name === name)!;
}
