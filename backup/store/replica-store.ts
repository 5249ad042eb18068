import { type CodecSettings, sameSettings } from '../../shared/codec/codec-settings.ts';
import type { UnderstudyError } from '../../shared/errors.ts';
import { pageBytes } from '../../shared/ids.ts';
import type { GuestMemory, WritableMemory } from '../../shared/memory/guest-memory.ts';
import { PageSet } from '../../shared/page-set.ts';
import type { DiskSeal } from '../../shared/wire/disk-body.ts';
import type { DecodeSink, DecodeSource, PageBatch } from '../decode/epoch-decoder.ts';
import { DigestTable } from './digest-table.ts';
import { DiskStage } from './disk-stage.ts';
import { type EpochStart, IncomingEpoch } from './incoming-epoch.ts';
import { OneAtATime } from './one-at-a-time.ts';
import { checkRam, type RamVerdict } from './ram-check.ts';
import { RamWriter } from './ram-writer.ts';
import { type Recovered, recover } from './recovery.ts';
import { ReplicaRecord } from './replica-record.ts';
import { type Checkpoint, emptyState, nothingStaged, writtenOut } from './replica-state.ts';
import {
  digestDiffers,
  incomplete,
  mismatch,
  nothingHeld,
  ramDamaged,
  stagingFull,
} from './store-errors.ts';
import { StoreFiles } from './store-files.ts';
import type { CommitResult, StoreOptions, Takeover } from './store-options.ts';

/**
 * The backup's copy of a guest: RAM file, device state and baseline of one epoch.
 *
 * An epoch is staged in a journal. `commit` checks that RAM would then have the primary's digest,
 * seals the journal by one write of the state record (from then on the epoch is never lost) and
 * writes its pages to RAM. A process that is killed before the seal has changed nothing; one that
 * is killed after it is completed by the next `open`: the journal holds whole pages, so writing
 * them again changes nothing.
 *
 * A synchronisation is staged likewise while an older epoch is held and the journal has room.
 * Otherwise it goes to RAM in place, after the store has marked itself as holding nothing. `ram`
 * is then what the synchronisation has made of it so far: a chunk may refer to a page as it was
 * before the epoch only while no chunk before it has sent that page, which the encoder keeps to.
 *
 * Invariant: `holds()` names an epoch only if RAM, device state and baseline are exactly that
 * epoch's, or will be once the sealed journal has been written out.
 *
 * One owner calls these methods, one at a time: a promise is awaited before the next call. Only
 * `verify` may run beside the others.
 */
export class ReplicaStore implements DecodeSink, DecodeSource {
  /** RAM as it is: before the epoch that is being staged, except in place. */
  readonly ram: GuestMemory;
  /** `E_REPLICA_CORRUPT`: why the store holds nothing although it held something. */
  readonly problem: UnderstudyError | null;
  readonly #memory: WritableMemory;
  readonly #files: StoreFiles;
  readonly #stagingBytesMax: number;
  #writer: RamWriter;
  readonly #record: ReplicaRecord;
  /** Null before a session is prepared, and after a write that left RAM in doubt. */
  #table: DigestTable | null;
  #incoming: IncomingEpoch | null = null;
  readonly #onePage = new Uint8Array(pageBytes);
  readonly #calls = new OneAtATime();
  /** Where changes of the guest's disks are taken. */
  readonly disks: DiskStage;

  private constructor(options: StoreOptions, files: StoreFiles, recovered: Recovered) {
    this.ram = options.memory;
    this.problem = recovered.problem;
    this.#memory = options.memory;
    this.#files = files;
    this.#stagingBytesMax = options.stagingBytesMax;
    this.#writer = new RamWriter(options.memory, files.staging);
    this.#record = new ReplicaRecord(files.state, recovered.state);
    this.#table = recovered.table;
    this.disks = new DiskStage(options.disks ?? null, this.#record);
  }

  /**
   * Opens the folder, finishes what a killed process left, and digests RAM if an epoch is held.
   * What does not check is reported by `problem`, and then nothing is held; nor where RAM is `known`.
   * Throws `E_REPLICA_LOCKED`, `E_REPLICA_MISMATCH`, `E_TMPFS_FULL`.
   */
  static async open(options: StoreOptions): Promise<ReplicaStore> {
    const { folder, guest, memory, stagingBytesMax } = options;
    const empty = emptyState(guest, memory.pageCount);
    const files = new StoreFiles(folder, empty, stagingBytesMax);
    try {
      return new ReplicaStore(options, files, await recover(files, options, empty));
    } catch (error) {
      files.close();
      throw error;
    }
  }

  /** The epoch that a takeover would resume, or null. */
  holds(): Checkpoint | null {
    return this.#record.held;
  }

  /** The epoch that was given to a takeover: RAM is its standby's, or its guest's. */
  takenOver(): Checkpoint | null {
    return this.#record.takenOver;
  }

  /**
   * Digests RAM under a session's hash and secret, unless that is known. Drops an epoch that is
   * being received. Returns the RAM digest. The event loop turns.
   * Throws `E_REPLICA_TAKEN`, `E_REPLICA_MISMATCH`.
   */
  async prepareSession(settings: CodecSettings): Promise<bigint> {
    const { pageCount } = this.#memory;
    if (settings.pageCount !== pageCount) {
      throw mismatch('the session', 'pageCount', settings.pageCount, pageCount);
    }
    this.#record.refuseIfTaken();
    this.abort();
    return this.#calls.run('prepareSession', async () => {
      await this.#finishSealed();
      if (this.#table === null || !sameSettings(this.#table.settings, settings)) {
        this.#table = null;
        this.#table = await DigestTable.ofRam(settings, this.#memory);
      }
      return this.#table.root;
    });
  }

  /** Whether RAM is known, without reading it, to have this digest under a session's settings. */
  isKnownAs(settings: CodecSettings, ramDigest: bigint): boolean {
    if (this.#record.state.phase === 'redo' || this.#table === null) return false;
    return this.#table.root === ramDigest && sameSettings(this.#table.settings, settings);
  }

  /** Digest of each page of RAM, page 0 first: a live view under the prepared session. */
  pageDigests(): BigUint64Array {
    return this.#prepared().pageDigests;
  }

  /**
   * An epoch begins. A `delta` goes on from the epoch that is held; a `sync` brings RAM to the
   * primary's from whatever it is. Throws `E_EPOCH_BASE`, `E_REPLICA_TAKEN`.
   */
  begin(start: EpochStart): void {
    this.#record.refuseIfTaken();
    this.#calls.check('begin');
    if (this.#incoming !== null) throw new Error('begin: an epoch is already being received');
    if (this.#record.state.phase === 'redo') throw new Error('begin: the last one is not written');
    const table = this.#prepared();
    const held = this.holds();
    const incoming = new IncomingEpoch(start, held);
    incoming.checkBase(held);
    if (start.kind === 'delta' && !sameSettings(table.settings, this.#record.state.settings!)) {
      throw new Error('begin: the prepared session is not the one that is held');
    }
    if (held === null) this.#goInPlace(incoming);
    this.#incoming = incoming;
  }

  /** Throws `E_STAGING_FULL`, `E_TMPFS_FULL`: the epoch is then dropped. */
  stage(batch: PageBatch): void {
    const incoming = this.#receiving('stage');
    try {
      if (incoming.inPlace === null) {
        if (this.#files.staging.put(batch)) return;
        if (incoming.start.kind === 'delta') {
          throw stagingFull(incoming.start.epoch, this.#stagingBytesMax);
        }
        this.#goInPlace(incoming);
      }
      this.#writeInPlace(incoming.inPlace!, batch);
    } catch (error) {
      this.abort();
      throw error;
    }
  }

  /** The newest image of a page that this epoch staged, valid until the next call. */
  staged(page: number): Uint8Array | undefined {
    if (this.#incoming?.inPlace?.has(page) !== true) return this.#files.staging.image(page);
    this.#memory.readRange(page, 1, this.#onePage, 0);
    return this.#onePage;
  }

  setDiskSeal(seal: DiskSeal): void {
    this.#receiving('setDiskSeal').diskSeal = seal;
  }

  setDeviceState(bytes: Uint8Array): void {
    this.#receiving('setDeviceState').deviceState = bytes.slice();
  }

  setBaseline(bytes: Uint8Array): void {
    this.#receiving('setBaseline').baseline = bytes.slice();
  }

  /**
   * Verifies and applies the epoch: when this resolves it is held and may be acknowledged.
   * `ramDigest` is the primary's. The event loop turns.
   * Throws `E_EPOCH_DIGEST`, `E_EPOCH_INCOMPLETE`, `E_EPOCH_BASE`, `E_TMPFS_FULL`: nothing was
   * applied and the epoch is dropped. `E_REPLICA_CORRUPT`: RAM was damaged, nothing is held.
   */
  async commit({ ramDigest }: { readonly ramDigest: bigint }): Promise<CommitResult> {
    const incoming = this.#receiving('commit');
    return this.#calls.run('commit', async () => {
      let pages: number;
      try {
        if (incoming.inPlace !== null) await this.disks.goInPlace(incoming.start.epoch);
        pages = this.#seal(incoming, ramDigest);
      } catch (error) {
        this.#drop();
        throw error;
      }
      this.#incoming = null;
      await this.#finishSealed();
      if (incoming.start.kind === 'sync') this.#files.staging.shrink();
      return { pages };
    });
  }

  /** Drops the epoch that is being received, if any. In place, RAM stays as far as it came. */
  abort(): void {
    this.#calls.check('abort');
    this.#drop();
  }

  /**
   * Compares RAM with what was written to it, beside other calls. Where they differ nothing is
   * held from then on: `prepareSession` and a synchronisation mend it.
   */
  async verify(): Promise<RamVerdict> {
    const table = this.#prepared();
    const goesOn = () => this.#table === table && this.takenOver() === null;
    const verdict = await checkRam(this.#memory, table, goesOn);
    if (verdict.differingPages > 0 && this.#record.state.phase === 'whole') this.discard();
    return verdict;
  }

  /**
   * The RAM digest by a fresh pass over RAM, under the session of the epoch that is held or was
   * taken over; of the prepared session where nothing is. The event loop turns.
   */
  async fullRamDigest(): Promise<bigint> {
    const settings = this.#record.state.settings ?? this.#prepared().settings;
    const digest = () => DigestTable.ofRam(settings, this.#memory);
    return (await this.#calls.run('fullRamDigest', digest)).root;
  }

  /** Gives up what is held: RAM is of no use but as a base to compare digests with. */
  discard(): void {
    this.#record.refuseIfTaken();
    this.#record.lowerTo('empty');
  }

  /**
   * Lends the epoch that is held to a takeover, and drops one that is being received. From then
   * on the store writes nothing, and a store that opens this folder later holds nothing until it
   * is reclaimed. Throws `E_REPLICA_EMPTY`, `E_REPLICA_TAKEN`, `E_REPLICA_CORRUPT`.
   */
  async takeForTakeover(): Promise<Takeover> {
    this.#record.refuseIfTaken();
    if (this.holds() === null) throw nothingHeld();
    this.abort();
    return this.#calls.run('takeForTakeover', async () => {
      await this.#finishSealed();
      const takeover = this.#files.takeover(this.#record.state);
      this.#record.lend();
      return { ...takeover, known: this.#prepared().known };
    });
  }

  /** Before the guest runs on this RAM: once this returns, no later process resumes the epoch. */
  readonly letRun = () => this.#record.letRun();

  /**
   * Takes RAM back from a takeover whose QEMU has ended. Returns the epoch if RAM is still that
   * epoch's; otherwise nothing is held. Nor is it if an `earlier` process let the guest run: what
   * that has said is in no epoch.
   */
  async reclaim(lender: 'this' | 'earlier'): Promise<Checkpoint | null> {
    if (this.takenOver() === null) throw new Error('reclaim: nothing was taken');
    return this.#calls.run('reclaim', async () => {
      const { checkpoint, settings, phase } = this.#record.state;
      const mayHaveRun = lender === 'earlier' && phase === 'taken';
      const table = await DigestTable.ofRam(settings!, this.#memory);
      this.#table = table;
      this.#writer = new RamWriter(this.#memory, this.#files.staging);
      const isWhole = !mayHaveRun && table.root === checkpoint!.ramDigest;
      if (isWhole) this.#record.set({ ...this.#record.state, phase: 'whole' });
      else this.#record.lowerTo('empty');
      return this.holds();
    });
  }

  /** Lets go of the folder. What was not committed is lost, what was is not. */
  close(): void {
    this.#incoming = null;
    this.#table = null;
    this.disks.close();
    this.#files.close();
  }

  /**
   * Everything that can refuse an epoch comes first; the last write makes it held, for good.
   * Returns the pages of the epoch.
   */
  #seal(incoming: IncomingEpoch, ramDigest: bigint): number {
    const { start, inPlace, deviceState } = incoming;
    const { staging } = this.#files;
    // A check of RAM may have taken away since what the epoch goes on from.
    incoming.checkBase(this.holds());
    const table = this.#prepared();
    const found =
      inPlace === null ? table.rootWith(staging.pages, staging.count, staging.digests) : table.root;
    if (found !== ramDigest) throw digestDiffers(start.epoch, ramDigest, found);
    if (deviceState === null) throw incomplete(start.epoch, 'device state');
    const { state } = this.#record;
    const disks = this.disks.reference(incoming);
    const kept = incoming.continuesSession ? state.baseline : null;
    if (incoming.baseline === null && kept === null) throw incomplete(start.epoch, 'a baseline');
    if (inPlace === null) this.#writer.reserve();
    this.#record.set({
      ...state,
      phase: inPlace === null || disks !== null ? 'redo' : 'whole',
      checkpoint: { session: start.session, epoch: start.epoch, term: start.term, ramDigest },
      settings: table.settings,
      device: this.#files.device.write(deviceState, state.device),
      baseline:
        incoming.baseline === null
          ? kept
          : this.#files.baseline.write(incoming.baseline, state.baseline),
      staged: inPlace === null ? staging.writeIndex() : nothingStaged,
      disks,
    });
    return inPlace === null ? staging.count : inPlace.size;
  }

  /** Writes a sealed journal to RAM, if there is one. */
  async #finishSealed(): Promise<void> {
    const { phase, checkpoint, settings } = this.#record.state;
    if (phase !== 'redo') return;
    try {
      await this.disks.apply();
      if (this.#table !== null) {
        await this.#writer.apply(this.#table);
      } else {
        await this.#writer.applyChecked(settings!);
        this.#table = await DigestTable.ofRam(settings!, this.#memory);
      }
    } catch (error) {
      this.#table = null;
      throw error;
    }
    const found = this.#table.root;
    if (found === checkpoint!.ramDigest) {
      this.#record.set({ ...this.#record.state, ...writtenOut });
    } else {
      this.#record.lowerTo('empty');
    }
    this.#files.staging.clear();
    this.disks.applied(checkpoint!.epoch);
    if (found !== checkpoint!.ramDigest) throw ramDamaged(checkpoint!, found);
  }

  /** From here on RAM is no epoch's until the synchronisation is committed. */
  #goInPlace(incoming: IncomingEpoch): void {
    this.#record.lowerTo('synchronising');
    incoming.inPlace = new PageSet(this.#memory.pageCount);
    for (const batch of this.#writer.stagedBatches()) this.#writeInPlace(incoming.inPlace, batch);
    this.#files.staging.shrink();
  }

  #writeInPlace(touched: PageSet, batch: PageBatch): void {
    try {
      this.#writer.write(batch, this.#prepared());
    } catch (error) {
      this.#table = null;
      throw error;
    }
    for (let i = 0; i < batch.count; i++) touched.add(batch.pages[i]!);
  }

  #drop(): void {
    this.#incoming = null;
    if (this.#record.state.phase !== 'redo') this.#files.staging.clear();
    this.disks.drop();
  }

  #prepared(): DigestTable {
    if (this.#table === null) throw new Error('no session is prepared');
    return this.#table;
  }

  #receiving(call: string): IncomingEpoch {
    this.#calls.check(call);
    if (this.#incoming === null) throw new Error(`${call}: no epoch is being received`);
    return this.#incoming;
  }
}
