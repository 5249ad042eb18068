import { defaultGateLimits, HeldOutput } from '../../primary/output/held-output.ts';
import type { GateLimits } from '../../primary/output/output-gate.ts';
import { monotonicClock } from '../../shared/clock.ts';
import { epoch } from '../../shared/ids.ts';
import { type CableCard, GuestNetwork } from '../../shared/net/guest-network.ts';

/** The part of an agent that is between the guest's cards and the network, told what to do. */
export type CableCommand =
  | {
      readonly do: 'open';
      readonly cards: readonly CableCard[];
      readonly limits?: GateLimits | undefined;
    }
  | { readonly do: 'barrier' | 'acknowledged'; readonly epoch: number }
  | { readonly do: 'pausing' | 'resumed' | 'releaseAll' | 'hold' | 'drop' }
  | { readonly do: 'announce' }
  | { readonly do: 'counts' };

export interface CableAgentCounts {
  readonly heldFrames: number;
  readonly releasedFrames: number;
  readonly discardedFrames: number;
  readonly sentByGuest: number;
  readonly fullTimes: number;
  readonly wantedCheckpoints: number;
  readonly warnings: readonly string[];
}

let network: GuestNetwork | undefined;
let wantedCheckpoints = 0;
const warnings: string[] = [];
let output: HeldOutput;

process.on('disconnect', () => process.exit());
process.on('message', async (command: CableCommand) => {
  await carryOut(command);
  const sentByGuest = network!.counts().get(0)!.cable.sent;
  const counts: CableAgentCounts = {
    ...output.counts,
    ...{ sentByGuest, wantedCheckpoints, warnings },
  };
  process.send!(counts);
});

async function carryOut(command: CableCommand): Promise<void> {
  switch (command.do) {
    case 'open':
      output = new HeldOutput({
        clock: monotonicClock,
        mode: 'commit',
        limits: command.limits ?? defaultGateLimits,
        release: (card, frame) => network!.emit(card, frame),
        onCheckpointWanted: () => wantedCheckpoints++,
        onReading: (reading) => network!.setReading(reading),
      });
      network = await GuestNetwork.open({
        cards: command.cards,
        onOutput: (card, frame) => output.frame(card, frame),
        onWarning: (error) => warnings.push(error.code),
      });
      network.letInput(true);
      await network.ready();
      return;
    case 'barrier':
    case 'acknowledged':
      output[command.do](epoch(command.epoch));
      return;
    case 'announce':
      network!.announce();
      return;
    case 'counts':
      return;
    default:
      output[command.do]();
  }
}
