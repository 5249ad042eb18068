import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';

/**
 * Mounts a tmpfs of `sizeText` ("40m") on `folder`, which is made where it is missing. The answer
 * takes it away again: lazily, for a process that just ended may still be letting go of a file.
 */
export function mountTmpfs(folder: string, sizeText: string): () => void {
  mkdirSync(folder, { recursive: true });
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${sizeText}`, 'tmpfs', folder]);
  return () => {
    execFileSync('umount', ['--lazy', folder]);
  };
}
