import {
  closeSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { DiskJournals } from '../../../backup/store/disk-journals.ts';
import { ProvenJournal } from '../../../backup/store/proven-journal.ts';
import { TimedTurns } from '../../../backup/store/turns.ts';
import { EpochDigest } from '../../../shared/codec/digest.ts';
import { epoch } from '../../../shared/ids.ts';
import { Random } from '../../../shared/random.ts';

const mib = 2 ** 20;
/** Room for one piece of 4 MiB to keep, and one of what is beyond. */
const room = new Uint8Array(8 * mib);

interface Case {
  readonly path: string;
  readonly bodies: readonly Buffer[];
  /** Of the record of a body in the file. */
  offsetOf(body: number): number;
  read(): Promise<ProvenJournal>;
}

/** A journal of 14 MiB: three times and a half what is kept. */
async function withJournal(work: (at: Case) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'understudy-proven-'));
  const journals = new DiskJournals(folder, 64 * mib);
  const random = new Random(9);
  const digest = new EpochDigest();
  try {
    const journal = journals.begin(epoch(1));
    const bodies = Array.from({ length: 28 }, (_, at) => {
      const body = Buffer.alloc(mib / 2 - random.below(5000), at + 1);
      journals.add(journal, body);
      digest.update(body);
      return body;
    });
    const bytes = bodies.reduce((sum, body) => sum + body.length, 0);
    const path = journals.path(epoch(1));
    await work({
      ...{ path, bodies },
      offsetOf: (body) => bodies.slice(0, body).reduce((sum, { length }) => sum + 4 + length, 0),
      read: () =>
        ProvenJournal.read(
          path,
          { bytes, digest: digest.value() },
          { room, turns: new TimedTurns() },
        ),
    });
  } finally {
    journals.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** How many bodies came, each of them as it was written, and what ended it. */
function given(journal: ProvenJournal, bodies: readonly Buffer[]): [count: number, code: string] {
  let count = 0;
  try {
    for (const body of journal.bodies()) {
      if (!bodies[count]!.equals(body)) return [count, 'another body'];
      count += 1;
    }
    return [count, 'end'];
  } catch (error) {
    return [count, (error as { code: string }).code];
  } finally {
    journal.close();
  }
}

test('a journal that is larger than the room for it is given whole', async (t) => {
  await withJournal(async ({ bodies, read }) => {
    t.deepEqual(given(await read(), bodies), [28, 'end']);
    t.deepEqual(given(await read(), bodies), [28, 'end'], 'the room is used again');
  });
});

test('a journal that changes after it was proven gives what was proven, or nothing', async (t) => {
  await withJournal(async ({ path, bodies, offsetOf, read }) => {
    const whole = readFileSync(path);
    for (const body of bodies.keys()) {
      const journal = await read();
      const file = openSync(path, 'r+');
      writeSync(file, Buffer.from([255]), 0, 1, offsetOf(body) + 1000);
      closeSync(file);
      const [count, said] = given(journal, bodies);
      if (said === 'end') t.true(count === 28 && body < 8, `${body} was not kept`);
      else t.true(said === 'E_REPLICA_CORRUPT' && count <= body, `${body}: ${count}, ${said}`);
      writeFileSync(path, whole);
    }
    const journal = await read();
    writeFileSync(path, whole.subarray(0, offsetOf(27)));
    const [count, said] = given(journal, bodies);
    t.true(said === 'E_REPLICA_CORRUPT' && count < 28);
  });
});
