import { UnderstudyError } from '../../shared/errors.ts';
import type { Guest, GuestDescription, GuestEvent, Standby } from '../../shared/guest/guest.ts';
import { SyntheticMemory } from '../../shared/guest/synthetic-memory.ts';
import { type GuestName, pageBytes } from '../../shared/ids.ts';
import type { WritableMemory } from '../../shared/memory/guest-memory.ts';
import type { PageSet } from '../../shared/page-set.ts';
import type { Random } from '../../shared/random.ts';
import type { Checker, PageState } from './checker.ts';
import type { Thread } from './thread.ts';
import type { Timeline } from './timeline.ts';

/**
 * A guest that counts for its clients. All that it knows is in its RAM, as words:
 *
 *   page 0:     step | chain | counter | per client: last request, its answer
 *   each page:  ... | word 1020: a value of the step | word 1021: step that wrote it last
 *
 * A request is a step, and now and then it takes one by itself. The chain depends on all steps.
 * Some steps copy a page to another one, as kernels do.
 */
export const guestPageCount = 48;
export const guestMemoryBytes = guestPageCount * pageBytes;
export const clientsMax = 3;

export interface Request {
  readonly client: number;
  /** Counts a client's requests: the same again is a repetition. */
  readonly number: number;
}

/** Frame of the guest, as it is on its cable. */
export interface Answer extends Request {
  readonly value: number;
  /** Not of the guest: which copy sent it, and at which step. For the checker. */
  readonly copy: number;
  readonly step: number;
}

export function encodeAnswer({ client, number, value, copy, step }: Answer): Uint8Array {
  return new Uint8Array(Uint32Array.of(client, number, value, copy, step).buffer);
}

export function decodeAnswer(frame: Uint8Array): Answer {
  const words = new Uint32Array(frame.slice().buffer);
  const [client, number, value, copy, step] = words as unknown as [
    number,
    number,
    number,
    number,
    number,
  ];
  return { client, number, value, copy, step };
}

/** What all copies of the guest share: the world that they are in. */
export interface GuestWorld {
  readonly name: GuestName;
  readonly timeline: Timeline;
  readonly random: Random;
  readonly checker: Checker;
  /** Numbers copies. */
  nextCopy(): number;
}

const at = { step: 0, chain: 4, counter: 8, clients: 12, tagValue: 4080, tagStep: 4084 };

export const description: GuestDescription = {
  memoryBytes: guestMemoryBytes,
  vcpus: 1,
  machine: 'counter',
  accelerator: 'synthetic',
  qemuVersion: 'none',
  devicesDigest: 'one card',
};

/** The process beside which an agent lives, and which outlives it: QEMU, so to speak. */
export class CounterProcess {
  readonly copy: number;
  readonly memory: SyntheticMemory;
  state: 'running' | 'paused' | 'gone';
  /** Where output goes: the agent that is attached, or nowhere. */
  cable: ((frame: Uint8Array) => void) | undefined;
  readonly #world: GuestWorld;
  readonly #listeners = new Set<(event: GuestEvent) => void>();
  readonly #waiting: Request[] = [];
  #standsStill = false;

  private constructor(
    world: GuestWorld,
    memory: SyntheticMemory,
    copy: number,
    state: 'running' | 'paused',
  ) {
    this.#world = world;
    this.memory = memory;
    this.copy = copy;
    this.state = state;
    this.#tick();
  }

  /** Boots it, with its vCPUs held. `mayLose`: one that ran unprotected was lost. */
  static boot(world: GuestWorld, mayLose: boolean): CounterProcess {
    const copy = world.nextCopy();
    world.checker.booted(copy, guestPageCount, mayLose);
    return new CounterProcess(world, new SyntheticMemory(guestMemoryBytes), copy, 'paused');
  }

  /** Goes on from what RAM holds. */
  static resume(world: GuestWorld, memory: SyntheticMemory): CounterProcess {
    const copy = world.nextCopy();
    const pages: PageState[] = [];
    for (let page = 0; page < guestPageCount; page++) {
      pages.push({ step: memory.read32(page, at.tagStep), sum: sumOf(memory, page) });
    }
    world.checker.resumed(copy, memory.read32(0, at.step), memory.read32(0, at.chain), pages);
    return new CounterProcess(world, memory, copy, 'running');
  }

  get step(): number {
    return this.memory.read32(0, at.step);
  }

  /** A frame from outside. One that stands still takes it up when it goes on. */
  request(request: Request): void {
    if (this.state === 'gone') return;
    if (this.state === 'paused' || this.#standsStill) {
      if (this.#waiting.length < 50) this.#waiting.push(request);
      return;
    }
    this.#serve(request);
  }

  /** As QMP has them. They take effect also if the one who asked is gone meanwhile. */
  execute(command: 'stop' | 'cont' | 'kill'): void {
    if (this.state === 'gone') return;
    if (command === 'kill') this.vanish('killed');
    else if (command === 'stop') this.state = 'paused';
    else {
      this.state = 'running';
      this.#takeUp();
    }
  }

  /** The whole host stands still, or goes on. */
  freeze(standsStill: boolean): void {
    this.#standsStill = standsStill;
    if (this.state === 'running' && !standsStill) this.#takeUp();
  }

  vanish(reason: string): void {
    if (this.state === 'gone') return;
    this.state = 'gone';
    for (const listener of [...this.#listeners]) listener({ kind: 'gone', reason });
    this.#listeners.clear();
  }

  listen(listener: (event: GuestEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  saveDevices(): Uint8Array {
    const words = [this.memory.read32(0, at.step), this.memory.read32(0, at.chain)];
    return new Uint8Array(Uint32Array.from(words).buffer);
  }

  takeDirty(into: PageSet): void {
    this.memory.takeWritten(into);
  }

  #takeUp(): void {
    for (const request of this.#waiting.splice(0)) this.#serve(request);
  }

  #serve({ client, number }: Request): void {
    const slot = at.clients + client * 8;
    if (number < this.memory.read32(0, slot)) return;
    if (number > this.memory.read32(0, slot)) {
      const value = this.memory.read32(0, at.counter) + 1;
      this.memory.write32(0, at.counter, value);
      this.memory.write32(0, slot, number);
      this.memory.write32(0, slot + 4, value);
    }
    const value = this.memory.read32(0, slot + 4);
    this.#advance();
    this.#send({ client, number, value, copy: this.copy, step: this.step });
  }

  /** Through a socket: what is sent before a stop may come after it, but in order. */
  #send(answer: Answer): void {
    const { timeline, random } = this.#world;
    const frame = encodeAnswer(answer);
    const delayMs = random.unit() < 0.2 ? random.unit() * 0.5 : 0.02;
    this.#sentAtMs = Math.max(this.#sentAtMs, timeline.nowMs + delayMs);
    timeline.after(this.#sentAtMs - timeline.nowMs, () => this.cable?.(frame));
  }

  #sentAtMs = 0;

  #advance(): void {
    const { random, checker } = this.#world;
    const step = this.step + 1;
    const chance = random.u32();
    const chain = (Math.imul(this.memory.read32(0, at.chain) ^ chance, 0x9e3779b1) + step) >>> 0;
    const pages = [0];
    for (let i = chance % 3; i >= 0; i--) {
      const page = 1 + random.below(guestPageCount - 1);
      if (!pages.includes(page)) pages.push(page);
    }
    this.memory.write32(0, at.step, step);
    this.memory.write32(0, at.chain, chain);
    for (const page of pages) {
      this.memory.write32(page, at.tagValue, chain);
      this.memory.write32(page, at.tagStep, step);
      if (page > 0) this.memory.write32(page, ((step * 37) % 1000) * 4, chance);
    }
    // A copy of what was written just before: the backup does not hold it as it is now.
    const [, copied, source = 1 + random.below(guestPageCount - 1)] = pages;
    if (copied !== undefined && random.unit() < 0.3) {
      for (let offset = 0; offset < at.tagValue; offset += 4) {
        this.memory.write32(copied, offset, this.memory.read32(source, offset));
      }
    }
    const sums = pages.map((page): [number, number] => [page, sumOf(this.memory, page)]);
    checker.stepped(this.copy, step, chain, new Map(sums));
  }

  #tick(): void {
    const { timeline, random } = this.#world;
    timeline.after(10 + random.unit() * 40, () => {
      if (this.state === 'gone') return;
      if (this.state === 'running' && !this.#standsStill) this.#advance();
      this.#tick();
    });
  }
}

/** Checksum of the whole page. */
function sumOf(memory: SyntheticMemory, page: number): number {
  let sum = 0;
  for (let offset = 0; offset < pageBytes; offset += 4) {
    sum = (Math.imul(sum, 0x01000193) ^ memory.read32(page, offset)) >>> 0;
  }
  return sum;
}

/** The guest as the agent has it: it talks to the process through its own thread. */
export class CounterGuest implements Guest {
  readonly name: GuestName;
  readonly description = description;
  readonly instance: string;
  readonly memory: SyntheticMemory;
  readonly process: CounterProcess;
  readonly #thread: Thread;
  readonly #world: GuestWorld;
  readonly #forget: (() => void)[] = [];

  constructor(world: GuestWorld, process: CounterProcess, thread: Thread) {
    this.#world = world;
    this.name = world.name;
    this.process = process;
    this.memory = process.memory;
    this.instance = process.copy.toString(16).padStart(16, '0');
    this.#thread = thread;
  }

  async pause(): Promise<void> {
    await this.#qmp('stop');
  }

  async resume(): Promise<void> {
    await this.#qmp('cont');
  }

  async terminate(): Promise<void> {
    await this.#qmp('kill');
  }

  async saveDeviceState(): Promise<Uint8Array> {
    const saved = this.process.saveDevices();
    await this.#thread.wait(0.5);
    if (this.process.state !== 'paused') throw new Error('the state of a running guest was saved');
    return saved;
  }

  async saveBaseline(): Promise<Uint8Array> {
    await this.#thread.wait(2);
    return new TextEncoder().encode(JSON.stringify(description));
  }

  async directIoMark(): Promise<number> {
    return 0;
  }

  onEvent(listener: (event: GuestEvent) => void): () => void {
    const forget = this.process.listen((event) => this.#thread.input(0.1, () => listener(event)));
    this.#forget.push(forget);
    return forget;
  }

  async detach(): Promise<void> {
    for (const forget of this.#forget) forget();
    this.process.cable = undefined;
  }

  /** Throws what a real one throws where QEMU is gone. */
  async #qmp(command: 'stop' | 'cont' | 'kill'): Promise<void> {
    const { timeline, random } = this.#world;
    timeline.after(0.1 + random.unit() * 0.2, () => this.process.execute(command));
    await this.#thread.wait(0.4);
    if (this.process.state === 'gone' && command !== 'kill') throw guestGone();
  }
}

/** Made ready on the backup: loads what the store gives it. */
export class CounterStandby implements Standby {
  readonly description = description;
  readonly pid = 0;
  readonly #world: GuestWorld;
  readonly #memory: WritableMemory;
  readonly #thread: Thread;
  readonly #onResumed: (process: CounterProcess) => void;
  #listener: (reason: string) => void = () => {};
  #gone = false;

  constructor(
    world: GuestWorld,
    memory: WritableMemory,
    thread: Thread,
    onResumed: (process: CounterProcess) => void,
  ) {
    this.#world = world;
    this.#memory = memory;
    this.#thread = thread;
    this.#onResumed = onResumed;
  }

  async load(_baseline: Uint8Array, deviceState: Uint8Array): Promise<void> {
    await this.#thread.wait(10);
    if (this.#gone) throw guestGone();
    const [step, chain] = new Uint32Array(deviceState.slice().buffer);
    const memory = this.#memory as SyntheticMemory;
    if (memory.read32(0, at.step) !== step || memory.read32(0, at.chain) !== chain) {
      this.#world.checker.fail('RAM and device state are not of one step');
    }
  }

  async resume(): Promise<Guest> {
    if (this.#gone) throw guestGone();
    const process = CounterProcess.resume(this.#world, this.#memory as SyntheticMemory);
    this.#onResumed(process);
    await this.#thread.wait(0.4);
    return new CounterGuest(this.#world, process, this.#thread);
  }

  async discard(): Promise<void> {
    this.#gone = true;
  }

  onGone(listener: (reason: string) => void): void {
    this.#listener = listener;
  }

  vanish(): void {
    if (this.#gone) return;
    this.#gone = true;
    this.#thread.input(0.1, () => this.#listener('killed'));
  }
}

function guestGone(): UnderstudyError {
  return new UnderstudyError('E_GUEST_GONE', 'the simulated guest is gone', { hint: 'None.' });
}
