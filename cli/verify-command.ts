import { setTimeout as sleep } from 'node:timers/promises';
import { askAgent } from '../shared/agent/control-client.ts';
import type { Input } from './command.ts';
import { exitCode } from './exit-code.ts';
import { chooseGuest } from './guest-choice.ts';

interface Verdict {
  readonly ram: { readonly pages: number; readonly isSame: boolean } | null;
  readonly disks: readonly {
    readonly disk: number;
    readonly pages: number;
    readonly differingPages: number;
  }[];
}

const lookEveryMs = 200;

/** Has the agent compare both sides, and prints what it found. Exits 1 where something differed. */
export async function runVerify(input: Input): Promise<number> {
  const { name, folder } = chooseGuest(input);
  for (;;) {
    const answer = (await askAgent(folder, name, 'verify')) as { readonly verdict: Verdict | null };
    if (answer.verdict !== null) {
      process.stdout.write(sentences(name, answer.verdict).join(''));
      const { ram, disks } = answer.verdict;
      const isSame = ram?.isSame === true && disks.every((disk) => disk.differingPages === 0);
      return isSame ? exitCode.ok : exitCode.failed;
    }
    await sleep(lookEveryMs);
  }
}

function sentences(guest: string, { ram, disks }: Verdict): string[] {
  const isSame = ram?.isSame ? 'all the same' : 'DIFFERENT: the backup is synchronised again';
  const ofRam =
    ram === null
      ? 'RAM was not compared: another comparison is under way, or the backup gave no answer'
      : `RAM: ${ram.pages} pages compared, ${isSame}`;
  const ofDisks = disks.map(({ disk, pages, differingPages }) => {
    const found =
      differingPages === 0 ? 'none differs' : `${differingPages} DIFFERED and were sent again`;
    return `disk ${disk}: ${pages} pages compared, ${found}`;
  });
  return [ofRam, ...ofDisks].map((text) => `${guest}: ${text}\n`);
}
