import test from 'ava';
import type { TermOutcome } from '../../../shared/arbiter/arbiter.ts';
import {
  type MemoryLink,
  MemoryTerms,
  type Passage,
} from '../../../shared/arbiter/memory-arbiter.ts';
import { isUnderstudyError } from '../../../shared/errors.ts';
import { Random } from '../../../shared/random.ts';
import { exampleRecord, guest } from './term-example.ts';
import { VirtualTime } from './virtual-time.ts';

const prompt: Passage = { requestMs: 1, answerMs: 1 };

function lab() {
  const time = new VirtualTime();
  return { time, terms: new MemoryTerms({ schedule: time.schedule }) };
}

test('a term has one creator, and whoever comes later is told who it is', async (t) => {
  const { time, terms } = lab();
  const [east, west] = [terms.connect(guest).arbiter, terms.connect(guest).arbiter];
  t.is(await time.run(east.latest()), null);
  const [own, other] = [exampleRecord(1, 'east'), exampleRecord(1, 'west')];
  t.deepEqual(await time.run(east.create(own)), { won: true, record: own });
  t.deepEqual(await time.run(west.create(other)), { won: false, record: own });
  t.deepEqual(await time.run(west.latest()), own);
  t.deepEqual(terms.history(guest), [own]);
});

test('a creation whose answer is lost is known to be won by its nonce', async (t) => {
  const { time, terms } = lab();
  const passage = (operation: string): Passage =>
    operation === 'put' ? { requestMs: 1, answerMs: null } : prompt;
  const { arbiter } = terms.connect(guest, { passage });
  const own = exampleRecord(1, 'east');
  t.deepEqual(await time.run(arbiter.create(own)), { won: true, record: own });
  t.is(arbiter.undecided, null);
});

test('a creation that is lost on the way is sent again', async (t) => {
  const { time, terms } = lab();
  let asked = 0;
  const passage = (): Passage => (++asked <= 5 ? { requestMs: null, answerMs: 1 } : prompt);
  const { arbiter } = terms.connect(guest, { passage });
  const own = exampleRecord(1, 'east');
  t.deepEqual(await time.run(arbiter.create(own)), { won: true, record: own });
  t.deepEqual(terms.history(guest), [own]);
});

test('a creation that takes effect after everybody gave up is not forgotten', async (t) => {
  const { time, terms } = lab();
  let lateMs: number | null = 60_000;
  const link: MemoryLink = terms.connect(guest, {
    passage: () => ({ requestMs: lateMs, answerMs: 1 }),
    settling: { attemptsMax: 2 },
  });
  const own = exampleRecord(1, 'east');
  const away = await t.throwsAsync(time.run(link.arbiter.create(own)));
  t.true(isUnderstudyError(away, 'E_ARBITER_AWAY'), String(away));
  t.is(link.arbiter.undecided, own);
  lateMs = null;
  t.deepEqual(terms.history(guest), [], 'it is still under way');
  const another = exampleRecord(1, 'east');
  await t.throwsAsync(link.arbiter.create(another), { message: /undecided/ });
  const changed = { ...own, mode: 'protected' as const };
  await t.throwsAsync(link.arbiter.create(changed), { message: /undecided/ });

  // It arrives; only reads are answered from here on.
  await time.run(time.pause(60_000));
  t.deepEqual(terms.history(guest), [own]);
  lateMs = 1;
  t.deepEqual(await time.run(link.arbiter.create(own)), { won: true, record: own });
  t.is(link.arbiter.undecided, null);
  t.deepEqual(terms.history(guest), [own], 'once');
});

test('a creation that was overtaken while it was under way is lost for good', async (t) => {
  const { time, terms } = lab();
  let requestMs = 60_000;
  const slow = terms.connect(guest, {
    passage: () => ({ requestMs, answerMs: 1 }),
    settling: { attemptsMax: 1 },
  });
  const [own, other] = [exampleRecord(1, 'east'), exampleRecord(1, 'west')];
  await t.throwsAsync(time.run(slow.arbiter.create(own)));
  t.true((await time.run(terms.connect(guest).arbiter.create(other))).won);
  requestMs = 1;
  t.deepEqual(await time.run(slow.arbiter.latest()), other);
  t.is(slow.arbiter.undecided, null, 'a read has decided it');
  await time.run(time.pause(60_000));
  t.deepEqual(terms.history(guest), [other]);
});

test('a winner that was overtaken by a higher term is not told that it won', async (t) => {
  const { time, terms } = lab();
  let answerMs: number | null = null;
  const deaf = terms.connect(guest, {
    passage: () => ({ requestMs: 1, answerMs }),
    settling: { attemptsMax: 1 },
  });
  const own = exampleRecord(1, 'east');
  await t.throwsAsync(time.run(deaf.arbiter.create(own)));
  const west = terms.connect(guest).arbiter;
  await time.run(west.latest());
  const higher = exampleRecord(2, 'west');
  t.true((await time.run(west.create(higher))).won);
  answerMs = 1;
  t.deepEqual(await time.run(deaf.arbiter.create(own)), { won: false, record: higher });
});

test('while the arbiter is away it is said so, in bounded time, and it goes on afterwards', async (t) => {
  const { time, terms } = lab();
  const link = terms.connect(guest);
  link.away = true;
  const away = await t.throwsAsync(time.run(link.arbiter.latest()));
  t.true(isUnderstudyError(away, 'E_ARBITER_AWAY') && away.hint !== '', String(away));
  t.true(time.nowMs <= 5000, `${time.nowMs} ms`);
  t.is(link.arbiter.undecided, null, 'reading leaves nothing open');
  link.away = false;
  t.is(await time.run(link.arbiter.latest()), null);
});

test('a term that would leave a gap, or a second creation at once, is a broken invariant', async (t) => {
  const { time, terms } = lab();
  const { arbiter } = terms.connect(guest);
  await t.throwsAsync(arbiter.create(exampleRecord(2, 'east')), { message: /gap/ });
  const first = arbiter.create(exampleRecord(1, 'east'));
  await t.throwsAsync(arbiter.create(exampleRecord(1, 'west')), { message: /under way/ });
  t.true((await time.run(first)).won);
  t.true((await time.run(arbiter.create(exampleRecord(2, 'east')))).won);
});

test('whatever is lost or late, no term is won twice and none is won unheard', async (t) => {
  for (let seed = 1; seed <= 150; seed++) {
    const { time, terms } = lab();
    const random = new Random(seed);
    let faulty = true;
    const passage = (): Passage => {
      if (!faulty) return prompt;
      const ms = (): number | null => {
        const draw = random.below(10);
        return draw < 2 ? null : draw < 4 ? random.below(5000) : random.below(20);
      };
      return { requestMs: ms(), answerMs: ms() };
    };
    const told: { name: string; outcome: TermOutcome; term: number; nonce: string }[] = [];

    const agent = async (name: string): Promise<void> => {
      const { arbiter } = terms.connect(guest, { passage, settling: { attemptsMax: 2 } });
      for (let creations = 0; creations < 5; ) {
        try {
          const open = arbiter.undecided ?? (await arbiter.latest());
          const own =
            arbiter.undecided ?? exampleRecord((open?.term ?? 0) + 1, name, hexOf(random));
          const outcome = await arbiter.create(own);
          told.push({ name, outcome, term: own.term, nonce: own.nonce });
          creations += 1;
        } catch (error) {
          if (!isUnderstudyError(error, 'E_ARBITER_AWAY')) throw error;
          if (time.nowMs > 100_000) faulty = false;
        }
      }
      t.is(arbiter.undecided, null, `seed ${seed}`);
    };
    await time.run(Promise.all(['east', 'west', 'north'].map(agent)));
    await time.run(time.pause(20_000));

    const history = terms.history(guest);
    t.deepEqual(
      history.map((record) => record.term as number),
      history.map((_, i) => i + 1),
      `seed ${seed}: no gap, in order`,
    );
    for (const { outcome, term, nonce, name } of told) {
      const stored = history[term - 1];
      const what = `seed ${seed}: ${name}, term ${term}`;
      if (outcome.won) t.is(stored?.nonce, nonce, what);
      else if (outcome.record.term === term) t.not(stored?.nonce, nonce, what);
    }
    const won = told.filter(({ outcome }) => outcome.won);
    t.is(new Set(won.map(({ term }) => term)).size, won.length, `seed ${seed}: one winner each`);
    for (const record of history) {
      t.true(
        told.some(({ nonce }) => nonce === record.nonce),
        'its creator has heard of it',
      );
    }
  }
});

function hexOf(random: Random): string {
  return Array.from({ length: 4 }, () => random.u32().toString(16).padStart(8, '0')).join('');
}
