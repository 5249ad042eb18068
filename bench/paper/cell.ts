import type { Mode } from '../../shared/config/modes.ts';
import { type WorkloadName, workloads } from './workloads.ts';

/** One measurement: a mode on a workload, at a checkpointing period. */
export interface Cell {
  readonly mode: Mode;
  readonly workload: WorkloadName;
  /** The paper’s checkpointing period: between checkpoints, or for llm between batches of input. */
  readonly periodMs: number;
  readonly blockBytes: 64 | 128 | 256;
  readonly sharing: boolean;
  readonly compression: boolean;
}

export interface CellResult extends Cell {
  /**
   * Type I downtime: from the kill of the primary's host until a client's new question is
   * answered. Median of the failovers; null where the guest never came back.
   */
  readonly typeIMs: number | null;
  /** Of each failover; null where the guest did not come back. */
  readonly typeISamplesMs: readonly (number | null)[];
  /** From the kill until the guest ran on, as the backup knows it: without the network. */
  readonly resumedMs: number;
  /** From the kill until an answer goes beyond all that clients had been told. */
  readonly regainedMs: number | null;
  /** Where type I goes: medians, of the backup's phases and from there to the client's answer. */
  readonly typeIPhasesMs: {
    readonly detect: number;
    readonly decide: number;
    /** Loading, checking and resuming the guest. */
    readonly load: number;
    readonly answer: number;
  };
  /** Type II downtime: how long the guest stands still for a checkpoint. */
  readonly typeIIMs: { readonly mean: number; readonly p50: number; readonly p99: number };
  /** Share of the time that the guest stood still. */
  readonly pausedShare: number;
  readonly epochs: number;
  /** From the pause to the acknowledgement of its checkpoint, median: output waits as long. */
  readonly ackMs: number | null;
  /**
   * Share of the work that protection costs, at equal speed of the guest's core; below 0 where the
   * noise is larger. Median of the turns; null where it is not asked for.
   */
  readonly overhead: number | null;
  /** Of each turn: alone, then protected. */
  readonly overheadSamples: readonly number[];
  /** The same as `overhead`, by the clock alone. */
  readonly overheadByClock: number | null;
  /** Cores that each agent kept busy in the last measurement under protection. */
  readonly agentCores: { readonly primary: number; readonly backup: number };
  /** Bytes of all frames over those of the dirty pages. */
  readonly wire: { readonly ratio: number; readonly bytesPerSecond: number };
  readonly dirtyPagesPerSecond: number;
  /** Average of the last minute as the cell ended: other work than the cell's is in it. */
  readonly loadAverage: number;
}

export interface FailedCell extends Cell {
  readonly notRun: string;
}

/**
 * One guest's life: the cells of a mode on a workload, one after the other. Each failover leaves the
 * guest at another host, where it is protected again.
 */
export interface Life {
  readonly mode: Mode;
  readonly workload: WorkloadName;
  readonly cells: readonly Cell[];
}

/** LLM's checkpoints are rarer than its batches of input by so much. */
export const llmCheckpointPeriods = 20;

export const checkpointMsOf = ({ mode, periodMs }: Cell) =>
  mode === 'llm' ? periodMs * llmCheckpointPeriods : periodMs;

export const comparedModes = ['remus', 'llm', 'fgbi'] as const;
const techniques = { blockBytes: 64, sharing: true, compression: true } as const;
const usualMs = 100;

/** At the usual period, with all that the mode has. */
export const isUsual = ({ periodMs, blockBytes, sharing, compression }: Cell) =>
  periodMs === usualMs && blockBytes === 64 && sharing && compression;

/** What writes the most memory, for what is compared on one workload alone. */
export const memoryBound: WorkloadName = 'memory-256';

/** The paper's own four workloads: figure 4 has each against the period. */
const paperWorkloads: readonly WorkloadName[] = ['web', 'ep', 'dynamic', 'mix'];
export const periodWorkloads = [...paperWorkloads, memoryBound];

/** The cells of a run, none twice; with names, of these workloads only. */
export function planCells(quick: boolean, only: readonly WorkloadName[] = []): readonly Cell[] {
  const names = workloads.map(({ name }) => name);
  const asked = only.length === 0 && quick ? quickWorkloads : names;
  const cells = quick ? mainCells(asked) : fullCells(asked);
  return only.length === 0 ? cells : cells.filter(({ workload }) => only.includes(workload));
}

const quickWorkloads: readonly WorkloadName[] = ['idle', memoryBound, 'redis'];

/** The cells of each guest together, in the order in which it meets them. */
export function livesOf(cells: readonly Cell[]): readonly Life[] {
  const lives = new Map<string, Cell[]>();
  for (const cell of cells) {
    const key = `${cell.mode}, ${cell.workload}`;
    lives.set(key, [...(lives.get(key) ?? []), cell]);
  }
  return [...lives.values()].map((own) => {
    const { mode, workload } = own[0]!;
    return { mode, workload, cells: own };
  });
}

const cell = (mode: Mode, workload: WorkloadName, periodMs = usualMs): Cell => ({
  ...{ mode, workload, periodMs },
  ...techniques,
});

/** Figure 4 and table 1. */
const mainCells = (names: readonly WorkloadName[]): Cell[] =>
  names.flatMap((name) => comparedModes.map((mode) => cell(mode, name)));

function fullCells(names: readonly WorkloadName[]): Cell[] {
  // Figure 4's other axis.
  const periods = periodWorkloads.flatMap((name) =>
    [50, 200].flatMap((periodMs) => comparedModes.map((mode) => cell(mode, name, periodMs))),
  );
  // Figure 5a.
  const blocks = paperWorkloads.flatMap((name) =>
    ([128, 256] as const).map((blockBytes) => ({ ...cell('fgbi', name), blockBytes })),
  );
  // Figure 5b.
  const parts = [
    { sharing: false, compression: false },
    { sharing: true, compression: false },
    { sharing: false, compression: true },
  ].map((part) => ({ ...cell('fgbi', memoryBound), ...part }));
  return [...mainCells(names), ...periods, ...blocks, ...parts];
}

/** `fgbi, ep, 100 ms`, and what is not as usual. */
export function nameOfCell(cell: Cell): string {
  const { mode, workload, periodMs, blockBytes, sharing, compression } = cell;
  return [
    `${mode}, ${workload}, ${periodMs} ms`,
    ...(blockBytes === 64 ? [] : [`${blockBytes}-byte blocks`]),
    ...(sharing ? [] : ['no sharing']),
    ...(compression ? [] : ['no compression']),
  ].join(', ');
}
