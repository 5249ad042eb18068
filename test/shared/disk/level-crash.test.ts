import test, { type ExecutionContext } from 'ava';
import { differingRegions, syncBasis } from '../../../shared/change-basis.ts';
import { sessionId } from '../../../shared/ids.ts';
import { Random } from '../../../shared/random.ts';
import { MadeUpHost, regionCount, tried } from './made-up-host.ts';

/** A change on its way from the host that leads to the one that follows. */
interface Change {
  readonly region: number;
  readonly value: number;
}

/** One session of a leader with a follower that holds nothing, until something ends it. */
class MadeUpSession {
  readonly #random: Random;
  readonly #one: MadeUpHost;
  readonly #other: MadeUpHost;
  readonly #id;
  readonly #log: Change[] = [];
  #arrived = 0;
  #follows = false;
  #leads = false;
  readonly #regions: Uint32Array | undefined;
  readonly #toCompare: number[];
  #levelled: number[] = [];
  #proof: { round: number; until: number; regions: number[] } | undefined;

  constructor(random: Random, one: MadeUpHost, other: MadeUpHost, id: number) {
    this.#random = random;
    this.#one = one;
    this.#other = other;
    this.#id = sessionId(id.toString(16).padStart(16, '0'));
    one.map.sessionBegins();
    this.#regions = differingRegions(one.map.known, other.map.known);
    this.#toCompare = [...(this.#regions ?? Array.from({ length: regionCount }).keys())];
  }

  get toCompareCount(): number {
    return this.#toCompare.length;
  }

  get isLevel(): boolean {
    return this.#toCompare.length === 0 && this.#arrived === this.#log.length;
  }

  /** False where the session ends of itself. */
  step(value: number): boolean {
    switch (this.#random.below(5)) {
      case 0:
        this.#write(this.#random.below(regionCount), value);
        return true;
      case 1:
        return this.#deliver(1 + this.#random.below(6));
      case 2:
        this.#compare();
        return true;
      default:
        return this.#leads ? this.#prove() : this.#lead();
    }
  }

  #write(region: number, value: number): void {
    this.#one.write(region, value, 1);
    // One that was refused changed nothing.
    if (this.#one.disk[region] === value) this.#log.push({ region, value });
  }

  #follow(): boolean {
    const basis = syncBasis(this.#id, 'follows');
    this.#follows ||= tried(() => this.#other.map.follow(basis));
    return this.#follows;
  }

  #deliver(most: number): boolean {
    for (let left = most; left > 0 && this.#arrived < this.#log.length; left--) {
      if (!this.#follow()) return false;
      const { region, value } = this.#log[this.#arrived]!;
      this.#other.disk[region] = value;
      this.#arrived += 1;
    }
    return true;
  }

  #compare(): void {
    const region = this.#toCompare.shift();
    if (region === undefined) return;
    const value = this.#one.disk[region]!;
    if (this.#other.disk[region] !== value) this.#log.push({ region, value });
    this.#levelled.push(region);
  }

  #lead(): boolean {
    if (!this.#follow()) return false;
    this.#other.sync();
    this.#one.sync();
    if (this.#random.below(2) === 0)
      this.#write(this.#random.below(regionCount), 1000 + this.#id.length);
    const basis = syncBasis(this.#id, 'leads');
    this.#leads = tried(() => this.#one.map.lead(basis, this.#regions ?? null));
    return true;
  }

  /** Begins a proof, or ends one once what it rests on has arrived. */
  #prove(): boolean {
    if (this.#proof === undefined) {
      const round = this.#one.map.endRound();
      this.#proof = { round, until: this.#log.length, regions: this.#levelled };
      this.#levelled = [];
      return true;
    }
    const { round, until, regions } = this.#proof;
    if (this.#arrived < until) return true;
    this.#other.sync();
    this.#one.sync();
    if (this.#random.below(2) === 0) this.#one.rest();
    tried(() => this.#one.map.proven(this.#id, round, Uint32Array.from(regions)));
    this.#proof = undefined;
    return true;
  }
}

/** What is not named is the same, and so it stays when either host loses power. */
function checkNamed(t: ExecutionContext, one: MadeUpHost, other: MadeUpHost, seed: number): number {
  const named = differingRegions(one.map.known, other.map.known);
  if (named === undefined) return regionCount;
  for (let region = 0; region < regionCount; region++) {
    if (named.includes(region)) continue;
    const [ours, theirs] = [one.disk[region], other.disk[region]];
    if (ours !== theirs)
      t.fail(`seed ${seed}: region ${region}: ${ours} and ${theirs}, named ${named}`);
  }
  return named.length;
}

test('wherever a first synchronisation ends, what counts as level is so, also after a loss of power', (t) => {
  let sparedRegions = 0;
  let level = 0;
  for (let seed = 1; seed <= 1500; seed++) {
    const random = new Random(seed);
    const [one, other] = [new MadeUpHost(random), new MadeUpHost(random)];
    for (const host of [one, other]) host.failsOneIn = random.below(3) === 0 ? 8 : 0;
    let value = seed * 10_000;
    for (let region = 0; region < regionCount; region++) {
      if (random.below(2) === 0) one.write(region, ++value, undefined);
    }
    for (let number = 1; number <= 4; number++) {
      const session = new MadeUpSession(random, one, other, number);
      sparedRegions += regionCount - session.toCompareCount;
      for (let left = random.below(60); left > 0; left--) if (!session.step(++value)) break;
      if (session.isLevel) level += 1;
      one.map.sessionEnds();
      for (const host of [one, other]) {
        const what = random.below(4);
        if (what === 0) host.losePower(random);
        if (what === 1) host.start();
      }
      if (random.below(8) === 0) {
        // Another host's guest, or an epoch of it, comes to the one that followed.
        const end = tried(() => other.map.forget());
        if (end) other.disk[random.below(regionCount)] = ++value;
      }
      if (random.below(3) === 0) one.write(random.below(regionCount), ++value, undefined);
      checkNamed(t, one, other, seed);
    }
  }
  t.true(sparedRegions > 3000, `${sparedRegions} regions were not compared again`);
  t.true(level > 100, `${level} sessions came to their end`);
});
