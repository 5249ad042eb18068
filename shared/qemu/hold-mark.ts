import { closeSync, constants, openSync, readSync, writeFileSync, writeSync } from 'node:fs';

/**
 * One byte in the run folder: an agent of ours holds the vCPUs. It outlives the agent, so that the
 * next one knows whether a guest that stands still waits for it or for an operator. Written twice
 * in each pause: an open file on tmpfs costs a few microseconds.
 */
export class HoldMark {
  readonly #fd: number;
  readonly #byte = Buffer.alloc(1);

  private constructor(fd: number) {
    this.#fd = fd;
  }

  /** For a QEMU that is about to be started, as all are, with its vCPUs held, or was let run. */
  static make(path: string, isHeld: boolean): void {
    writeFileSync(path, isHeld ? held : free, { mode: 0o600 });
  }

  /** One that is not there, as releases before left none, is made and says held. */
  static open(path: string): HoldMark {
    return new HoldMark(openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600));
  }

  get isSet(): boolean {
    return readSync(this.#fd, this.#byte, 0, 1, 0) === 0 || this.#byte.toString() === held;
  }

  set(isHeld: boolean): void {
    writeSync(this.#fd, isHeld ? held : free, 0);
  }

  close(): void {
    closeSync(this.#fd);
  }
}

const held = '1';
const free = '0';
