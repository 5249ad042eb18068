import { type Epoch, epoch } from '../ids.ts';
import { type AgentActivity, agentActivities } from '../wire/flow-body.ts';

/**
 * What an agent's main thread has got done, in memory that its heartbeat worker reads: so a
 * heartbeat tells the truth also while the main thread is busy.
 */
export class ProgressCell {
  readonly memory: SharedArrayBuffer;
  readonly #counters: BigInt64Array;

  /** A new cell, or the one that another thread made. */
  constructor(memory: SharedArrayBuffer = new SharedArrayBuffer(cellBytes)) {
    this.memory = memory;
    this.#counters = new BigInt64Array(memory);
  }

  set captured(value: Epoch) {
    Atomics.store(this.#counters, slots.captured, BigInt(value));
  }
  get captured(): Epoch {
    return epoch(Number(Atomics.load(this.#counters, slots.captured)));
  }

  set acked(value: Epoch) {
    Atomics.store(this.#counters, slots.acked, BigInt(value));
  }
  get acked(): Epoch {
    return epoch(Number(Atomics.load(this.#counters, slots.acked)));
  }

  set activity(value: AgentActivity) {
    Atomics.store(this.#counters, slots.activity, BigInt(agentActivities.indexOf(value)));
  }
  get activity(): AgentActivity {
    return agentActivities[Number(Atomics.load(this.#counters, slots.activity))] ?? 'starting';
  }

  /** The session that heartbeats carry; 0 for none. */
  set session(value: bigint) {
    Atomics.store(this.#counters, slots.session, BigInt.asIntN(64, value));
  }
  get session(): bigint {
    return BigInt.asUintN(64, Atomics.load(this.#counters, slots.session));
  }
}

const slots = { captured: 0, acked: 1, activity: 2, session: 3 } as const;
const cellBytes = 4 * 8;
