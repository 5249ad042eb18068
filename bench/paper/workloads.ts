const mib = 2 ** 20;

/** What a guest does in the comparison with the paper. */
export interface Workload {
  readonly name: WorkloadName;
  /** What it does, and the workload of the papers that it stands for. */
  readonly about: string;
  readonly memoryBytes: number;
  /** Words for the guest's command line: drill/lab-guest/init.sh and guest/init.sh explain them. */
  readonly load: string;
  /** What counts its work. `counter` and `progress`: keys in the guest's store. */
  readonly work: 'counter' | 'progress' | 'commands';
}

export type WorkloadName = 'idle' | 'ep' | 'memory-256' | 'redis';

export const workloads: readonly Workload[] = [
  {
    ...{ name: 'idle', memoryBytes: 512 * mib, load: 'lab.load=none', work: 'counter' },
    about: 'Nothing but a counter, 50 times a second. The paper’s "idle".',
  },
  {
    ...{ name: 'ep', memoryBytes: 512 * mib, load: 'bench.load=ep', work: 'progress' },
    about: `The kernel of NPB-EP: pairs of Gaussian deviates out of batches of random numbers, on
one virtual CPU, 16 arrays of 256 KiB in turn.`,
  },
  {
    ...{ name: 'memory-256', memoryBytes: 512 * mib, work: 'progress' },
    load: 'bench.load=write-loop bench.args=256,2000',
    about: `A loop that writes one block in eight of each page of 256 MiB, one page after the other,
with a small computation before each. The memory-bound workload: what SPECsys is to the paper, and
the memory-write loop of the data-filter paper.`,
  },
  {
    ...{ name: 'redis', memoryBytes: 512 * mib, load: 'lab.load=kv lab.rate=0', work: 'commands' },
    about: `Redis under redis-benchmark in the guest as fast as it goes: a service that writes many
pages, as SPECweb does.`,
  },
];

export function workloadOf(name: WorkloadName): Workload {
  return workloads.find((one) => one.name === name)!;
}
