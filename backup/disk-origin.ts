import type { KnownChanges } from '../shared/change-basis.ts';
import type { DiskServer } from '../shared/disk/disk-server.ts';
import type { SessionId } from '../shared/ids.ts';

/**
 * Whose changes are made to the backup's disks. Those of a synchronisation where nothing whole is held
 * are one primary's, in place: that is remembered, so that it can go on after an interruption. With
 * those of epochs nothing is known any more but the epoch that is held.
 */
export class DiskOrigin {
  readonly #server: DiskServer;
  /** Of which alone the changes are; null: of epochs. */
  #session: SessionId | null = null;
  /** What the maps say, or are about to. */
  #told: { readonly of: SessionId | null; readonly done: Promise<void> } | undefined;

  constructor(server: DiskServer) {
    this.#server = server;
  }

  /** No change of the session was made yet. `holds`: an epoch is held. */
  sessionBegins(session: SessionId, holds: boolean): void {
    this.#session = holds ? null : session;
    this.#told = undefined;
  }

  /** The disks are about to be changed; `inPlace`: by a synchronisation. Throws `E_DISK_MAP`. */
  async willChange(inPlace: boolean): Promise<void> {
    if (!inPlace) this.#session = null;
    await this.#tell();
  }

  /**
   * What is known of a disk now, when all that was written to it before is on it. Null where that
   * is nothing: the changes are not of one session.
   */
  async knownNow(disk: number): Promise<KnownChanges | null> {
    if (this.#session === null) return null;
    await this.#tell();
    return await this.#server.knownSynced(disk);
  }

  async #tell(): Promise<void> {
    const of = this.#session;
    if (this.#told?.of !== of) {
      const server = this.#server;
      const told = { of, done: of === null ? server.forgetChanges() : server.follow(of) };
      this.#told = told;
      told.done.catch(() => {
        if (this.#told === told) this.#told = undefined;
      });
    }
    await this.#told.done;
  }
}
