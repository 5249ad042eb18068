import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { GuestName } from '../../shared/ids.ts';
import { Checker } from './checker.ts';
import { warmUpKernels } from './codec.ts';
import { type Faulty, inject, switchOver } from './faults.ts';
import { Host, type World } from './host.ts';
import { NatsServer } from './nats-server.ts';
import { Outside } from './outside.ts';
import { type Parts, realParts } from './parts.ts';
import { type Fault, type FaultKind, losesMemory, type Plan, planOf } from './plan.ts';
import { Timeline } from './timeline.ts';
import { Trace } from './trace.ts';

export interface Verdict {
  readonly seed: number;
  readonly mode: Plan['mode'];
  readonly failures: readonly string[];
  /** Of everything that happened: one seed, one hash. */
  readonly hash: string;
  readonly trace: readonly string[];
  readonly counts: Checker['counts'] & { readonly events: number; readonly simulatedMs: number };
}

export interface SimulationOptions {
  readonly parts?: Parts;
  /** Lines of the trace that are kept. */
  readonly traceLines?: number;
  /** The one fault that is injected. */
  readonly only?: FaultKind;
}

/** Everything must be well again so long after the last fault has ended. */
const recoveryMsMax = 40_000;
/** Where nothing is promised, this long is enough to see whether something is said that is wrong. */
const patienceMs = 3_000;
/** Answers that a client must get after the faults, before a run is over. */
const answersAfter = 5;

/** The kernels are compiled in real time: before virtual time begins. */
const warm = warmUpKernels();

/** One run. The same seed gives the same run. */
export async function simulate(seed: number, options: SimulationOptions = {}): Promise<Verdict> {
  await warm;
  const folder = mkdtempSync(join('/dev/shm', 'understudy-sim-'));
  try {
    const run = new Run(planOf(seed, options.only), folder, options);
    return await run.toEnd();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

class Run implements Faulty {
  readonly hosts: readonly Host[];
  readonly server: NatsServer;
  readonly outside: Outside;
  readonly #plan: Plan;
  readonly #timeline = new Timeline();
  readonly #trace: Trace;
  readonly #checker = new Checker();
  readonly #left: Fault[];
  /** Faults that are on. */
  #on = 0;
  #due = false;
  #quietSinceMs = 0;
  #answersAtQuiet = 0;
  #over = false;
  #takeoverLost = false;

  constructor(
    plan: Plan,
    folder: string,
    { parts = realParts, traceLines = 400 }: SimulationOptions,
  ) {
    const { random } = plan;
    this.#plan = plan;
    this.#left = [...plan.faults];
    this.#trace = new Trace(this.#timeline, traceLines);
    this.server = new NatsServer(this.#timeline, random.fork(), plan.weather, this.#trace);
    const outside = new Outside(this.#timeline, random.fork(), this.#checker, this.#trace);
    this.outside = outside;
    let copies = 0;
    const world: World = {
      name: 'counter' as GuestName,
      timeline: this.#timeline,
      random: random.fork(),
      checker: this.#checker,
      nextCopy: () => ++copies,
      server: this.server,
      outside,
      trace: this.#trace,
      settings: plan.settings,
      ...{ parts, folder },
      takeoverLost: () => {
        this.#takeoverLost = true;
      },
      mayLose: () => this.#mayLose(),
    };
    this.hosts = [
      new Host(world, 0, 'primary', random.fork()),
      new Host(world, 1, 'backup', random.fork()),
    ];
  }

  after(ms: number, run: () => void): void {
    this.#timeline.after(ms, run);
  }

  async toEnd(): Promise<Verdict> {
    const { mode, faults, random, seed } = this.#plan;
    for (const host of this.hosts) this.after(random.unit() * 300, () => host.startAgent());
    if (mode === 'chaos') {
      for (const fault of faults) this.after(fault.afterMs, () => this.#inject(fault));
    }
    this.#look();
    await this.#timeline.run(() => this.#over || this.#checker.failures.length > 0);
    for (const host of this.hosts) host.endAgent();
    const { nowMs: simulatedMs, happened: events } = this.#timeline;
    return {
      ...{ seed, mode },
      failures: this.#checker.failures,
      hash: this.#trace.hash,
      trace: this.#trace.lines,
      counts: { ...this.#checker.counts, events, simulatedMs },
    };
  }

  /** Every now and then: is the next fault due, is the run over, has it taken too long? */
  #look(): void {
    const { nowMs } = this.#timeline;
    if (this.#on === 0 && !this.#due) {
      const next = this.#left[0];
      const isProtected = this.#isProtected();
      if (this.#plan.mode !== 'chaos' && next !== undefined) {
        if (isProtected) {
          this.#due = true;
          this.#left.shift();
          this.after(next.afterMs, () => {
            this.#due = false;
            this.#inject(next);
          });
        }
      } else if (this.#left.length === 0 && this.#isWell()) this.#over = true;
      if (!this.#over && nowMs - this.#quietSinceMs > this.#patienceMs) this.#giveUp();
    }
    if (!this.#over) this.after(50, () => this.#look());
  }

  #inject(fault: Fault): void {
    if (this.#plan.mode === 'chaos') this.#left.splice(this.#left.indexOf(fault), 1);
    this.#on += 1;
    const { switchoverMs } = fault;
    if (switchoverMs !== undefined) switchOver(this);
    this.after(switchoverMs ?? 0, () => this.#begin(fault));
  }

  #begin(fault: Fault): void {
    const { kind, host, lastsMs } = fault;
    const { name } = this.hosts[host]!;
    this.#trace.say('fault', `${kind} of ${name} for ${lastsMs.toFixed(0)} ms`);
    const end = inject(fault, this);
    this.after(lastsMs, () => {
      this.#trace.say('fault', `${kind} of ${name} is over`);
      end();
      this.#on -= 1;
      this.#quietSinceMs = this.#timeline.nowMs;
      this.#answersAtQuiet = this.#checker.counts.answers;
    });
  }

  #isServed(): boolean {
    return this.#checker.counts.answers >= this.#answersAtQuiet + answersAfter;
  }

  #isProtected(): boolean {
    const names = this.hosts.map(({ agent }) => agent?.state?.name);
    const ends = names.includes('protected') && names.includes('protecting');
    return ends && this.#isServed();
  }

  #isWell(): boolean {
    return this.#isProtected() || (this.#isServed() && this.hosts.some(({ isUp }) => !isUp));
  }

  #giveUp(): void {
    this.#over = true;
    const states = this.hosts.map(({ name, agent, guest, isUp }) => {
      const state = isUp ? `${agent?.state?.side} ${agent?.state?.name}` : 'down';
      return `${name} ${state}, guest ${guest?.state}`;
    });
    const what = `not well ${this.#patienceMs} ms after the last fault: ${states.join('; ')}`;
    if (this.#mustRecover()) this.#checker.fail(what);
    else this.#trace.say('end', what);
  }

  get #patienceMs(): number {
    return this.#mustRecover() ? recoveryMsMax : patienceMs;
  }

  /** A host that takes the guest over and loses its memory before the guest runs takes it with it. */
  #mustRecover(): boolean {
    return !this.#takeoverLost && !this.#mayLose();
  }

  /** A guest may be lost that was not protected: in chaos, and right after a switchover. */
  #mayLose(): boolean {
    const { mode, faults } = this.#plan;
    return faults.some(
      ({ kind, switchoverMs }) =>
        losesMemory.has(kind) && (mode === 'chaos' || switchoverMs !== undefined),
    );
  }
}
