import { WriteProtectTracker } from '../../primary/capture/write-protect.ts';
import { attempt } from '../attempt.ts';
import { runIdleLab } from '../idle-lab.ts';
import { withLabQemu } from '../lab-qemu.ts';
import { type FloorRound, floorMs, measurePauses, type PauseRounds } from '../pause-rounds.ts';
import { isMeasured, median, type Row } from '../row.ts';
import type { Suite, SuiteOptions } from '../suite.ts';

const mib = 2 ** 20;
const loads = {
  idle: 'lab.load=none',
  'key-value': 'lab.load=kv lab.rate=5000',
} as const;

/** How long the guest stands still for a checkpoint, and how long it would have to at least. */
export const pauseSuite: Suite = {
  name: 'pause',
  title: 'The pause',
  about: `The lab guest of 512 MiB under QEMU, 100 ms between two pauses. Checkpoints of the
primary's own code and floors take turns on one guest in one process; a floor is a pause in which
stop, scan, one copy of the dirty pages, device state and cont follow each other, each timed alone.
The idle guest runs Redis, which nobody uses, and a process that counts in it 50 times a second.
"Of the agent" is the pause in the real primary agent, beside its encoder, NATS and the backup.`,
  rowIds: ['pause.idle', 'pause.key-value', 'pause.agent-idle'],
  run: async ({ quick, progress }: SuiteOptions): Promise<Row[]> => {
    const rows: Row[] = [];
    for (const name of ['idle', 'key-value'] as const) {
      progress(`pause: ${name} guest`);
      const measure = async () => pauseRows(name, await takeRounds(loads[name], quick ? 5 : 60));
      rows.push(...(await attempt([`pause.${name}`], measure)));
    }
    progress('pause: idle guest with agents');
    const floor = rows.find(({ id }) => id === 'pause-floor.idle');
    const measure = () => agentRows(quick ? 2000 : 15_000, floor);
    return [...rows, ...(await attempt(['pause.agent-idle'], measure))];
  },
};

function takeRounds(load: string, rounds: number): Promise<PauseRounds> {
  return withLabQemu({ memoryBytes: 512 * mib, load }, async (guest) => {
    const tracker = WriteProtectTracker.open(guest.tracked);
    try {
      return await measurePauses(guest, tracker, rounds);
    } finally {
      tracker.close();
    }
  });
}

function pauseRows(name: keyof typeof loads, rounds: PauseRounds): Row[] {
  const floors = rounds.floors.map(floorMs);
  const against = {
    id: `pause-floor.${name}`,
    ratios: rounds.pauseMs.map((pause, i) => pause / floors[i]!),
  };
  const part = (key: keyof FloorRound, what: string): Row => ({
    id: `pause-floor-${key}.${name}`,
    what: `Floor, ${name} guest: ${what}`,
    unit: key === 'dirtyPages' ? 'pages' : 'ms',
    values: rounds.floors.map((floor) => floor[key]),
  });
  return [
    {
      ...{ id: `pause.${name}`, what: `Pause, ${name} guest`, unit: 'ms' },
      ...{ values: rounds.pauseMs, against },
    },
    { id: `pause-floor.${name}`, what: `Floor, ${name} guest`, unit: 'ms', values: floors },
    part('stop', 'stop'),
    part('scan', 'scan'),
    part('copy', 'one copy of the dirty pages'),
    part('device', 'device state'),
    part('resume', 'cont'),
    part('dirtyPages', 'dirty pages'),
    {
      ...{ id: `pause-dirty.${name}`, what: `Dirty pages in a pause, ${name} guest` },
      ...{ unit: 'pages', values: rounds.dirtyPages },
    },
  ];
}

async function agentRows(workMs: number, floor: Row | undefined): Promise<Row[]> {
  const epochs = await runIdleLab({ memoryBytes: 512 * mib, load: loads.idle, workMs });
  const values = epochs.map(({ pauseMs }) => pauseMs);
  // The floor was taken on another guest just before: the medians are compared.
  const against =
    floor === undefined || !isMeasured(floor)
      ? {}
      : { against: { id: floor.id, ratios: [median(values) / median(floor.values)] } };
  const phase = (name: keyof (typeof epochs)[number]['phasesMs'], what: string): Row => ({
    id: `pause.agent-idle-${name}`,
    what: `Of the agent, idle guest: ${what}`,
    unit: 'ms',
    values: epochs.map(({ phasesMs }) => phasesMs[name]),
  });
  return [
    {
      id: 'pause.agent-idle',
      what: 'Of the agent, idle guest: the pause',
      ...{ unit: 'ms', values, ...against },
    },
    phase('stop', 'stop'),
    phase('scan', 'scan'),
    phase('copy', 'copy'),
    phase('device', 'device state, beyond the copy'),
    phase('resume', 'cont'),
  ];
}
