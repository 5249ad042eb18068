import { type CellResult, type FailedCell, isUsual } from './cell.ts';
import { isMeasuredCell } from './life-process.ts';

type Main = Pick<
  CellResult,
  | ('typeIMs' | 'typeIIMs' | 'overhead' | 'overheadByClock' | 'pausedShare' | 'wire')
  | 'agentCores'
  | ('dirtyPagesPerSecond' | 'regainedMs' | 'typeIPhasesMs')
>;

/**
 * The cells at the usual period and technique, as `measured.<mode>.<workload>`; and what could not
 * be measured, each with its reason.
 */
export function byModeAndWorkload(cells: readonly (CellResult | FailedCell)[]) {
  const measured: Record<string, Record<string, Main>> = {};
  for (const cell of cells.filter(isMeasuredCell).filter(isUsual)) {
    const { typeIMs, typeIPhasesMs, regainedMs, typeIIMs, pausedShare } = cell;
    const { overhead, overheadByClock, agentCores, wire, dirtyPagesPerSecond } = cell;
    measured[cell.mode] ??= {};
    measured[cell.mode]![cell.workload] = {
      ...{ typeIMs, typeIPhasesMs, regainedMs, typeIIMs, pausedShare },
      ...{ overhead, overheadByClock, agentCores, wire, dirtyPagesPerSecond },
    };
  }
  return { measured, notRun: cells.filter((cell): cell is FailedCell => !isMeasuredCell(cell)) };
}
