/**
 * A thread of the `scan` tracker. It takes one region of RAM after the other, whichever no other
 * thread has, and waits for the next pass when none is left. It is made to end from outside.
 */
import { workerData } from 'node:worker_threads';
import { PageDigester } from '../../shared/codec/page-digester.ts';
import { RamFile } from '../../shared/memory/ram-file.ts';
import { ScanPass } from './scan-pass.ts';
import { control, regionPages, type ScanTask } from './scan-task.ts';

const task = workerData as ScanTask;
const words = new Int32Array(task.control);
const changed = new Uint32Array(task.changed);

try {
  const digester = await PageDigester.create(task.hash);
  const memory = RamFile.open(task.ramPath, task.memoryBytes);
  const pass = new ScanPass(memory, digester, new Uint32Array(task.known));
  for (let passes = 1; ; passes++) {
    while (Atomics.load(words, control.pass) < passes) {
      Atomics.wait(words, control.pass, passes - 1);
    }
    takeRegions(pass, memory.pageCount);
    Atomics.add(words, control.done, 1);
    Atomics.notify(words, control.done);
  }
} catch (error) {
  task.port.postMessage(error instanceof Error ? error.message : String(error));
  Atomics.store(words, control.failed, 1);
  Atomics.add(words, control.done, 1);
  Atomics.notify(words, control.done);
}

function takeRegions(pass: ScanPass, pageCount: number): void {
  for (;;) {
    const first = Atomics.add(words, control.nextRegion, 1) * regionPages;
    if (first >= pageCount) return;
    pass.run(first, Math.min(pageCount, first + regionPages), (page) => {
      changed[page >>> 5] = changed[page >>> 5]! | (1 << (page & 31));
    });
    Atomics.add(words, control.progress, 1);
  }
}
