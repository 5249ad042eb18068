import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { MeasuredRow } from './row.ts';

export type FloorWork = 'lz4' | 'arithmetic' | 'copy';

export interface FloorTask {
  readonly work: FloorWork;
  readonly ms: number;
}

const whats: Record<FloorWork, string> = {
  lz4: 'LZ4 of 256 KiB of log lines, in cache',
  arithmetic: 'arithmetic in registers',
  copy: 'copying 64 MiB',
};
const works = Object.keys(whats) as FloorWork[];

export const floorRowIds = works.map(floorId);

/**
 * What this machine gives two threads that share nothing, over one: each work alone and in both at
 * once, by turns. An encoder of two threads can't do better.
 */
export async function measureThreadFloor(rounds: number, ms: number): Promise<MeasuredRow[]> {
  const url = new URL('./floor-worker.js', import.meta.url);
  const threads = [new Worker(url), new Worker(url)];
  const rateOf = async (thread: Worker, task: FloorTask): Promise<number> => {
    thread.postMessage(task);
    const [{ rate }] = (await once(thread, 'message')) as [{ rate: number }];
    return rate;
  };
  const values = new Map(works.map((work) => [work, [] as number[]]));
  try {
    for (let round = -1; round < rounds; round++) {
      for (const work of works) {
        const task = { work, ms };
        const alone = await rateOf(threads[Math.abs(round) % 2]!, task);
        const both = await Promise.all(threads.map((thread) => rateOf(thread, task)));
        // The first round warms the compiler up.
        if (round >= 0) values.get(work)!.push((both[0]! + both[1]!) / alone);
      }
    }
  } finally {
    await Promise.all(threads.map((thread) => thread.terminate()));
  }
  return works.map((work) => ({
    id: floorId(work),
    what: `The machine: ${whats[work]}, two threads over one`,
    unit: 'share',
    values: values.get(work)!,
  }));
}

function floorId(work: FloorWork): string {
  return `threads-floor.${work}`;
}
