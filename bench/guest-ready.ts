import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

const deadlineMs = 90_000;
const lookMs = 50;

/** Resolves once the lab guest has said on its console, a file, that it is up; throws if it fails. */
export async function guestReady(serialLog: string, signal?: AbortSignal): Promise<void> {
  const endAtMs = performance.now() + deadlineMs;
  for (;;) {
    const text = await readFile(serialLog, 'utf8').catch(() => '');
    if (text.includes('LAB READY')) return;
    const failed = /LAB FAILED .*/.exec(text)?.[0];
    if (failed !== undefined) throw new Error(`the lab guest says ${failed}`);
    if (performance.now() > endAtMs) throw new Error('the lab guest did not become ready');
    await sleep(lookMs, undefined, { signal });
  }
}
