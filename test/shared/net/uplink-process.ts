import { isUnderstudyError, type UnderstudyError } from '../../../shared/errors.ts';
import { announce } from '../../../shared/net/announce.ts';
import { openUplink } from '../../../shared/net/tap.ts';
import type { Uplink, UplinkConfig } from '../../../shared/net/uplink.ts';

/** Holds uplinks in the namespace that it is started in, and does what it is told. */
export type UplinkCommand =
  /** Be nobody: only now, since nobody may not read the code of a checkout below root's home. */
  | { readonly do: 'drop-privileges' }
  | { readonly do: 'open'; readonly id: string; readonly config: UplinkConfig }
  | { readonly do: 'send'; readonly id: string; readonly frame: string; readonly count: number }
  | { readonly do: 'announce'; readonly id: string; readonly mac: string }
  /** Frames that came, in hex, those that hold `mark`; and codes of warnings. */
  | { readonly do: 'seen'; readonly id: string; readonly mark: string }
  | { readonly do: 'close'; readonly id: string };

interface Opened {
  readonly uplink: Uplink;
  readonly frames: string[];
  readonly codes: string[];
}

const nobody = 65_534;
const opened = new Map<string, Opened>();
/** The last takeover counts: an old announcement repeated after it would move the guest back. */
let endAnnouncement = () => {};
process.on('disconnect', () => process.exit());
process.on('message', async (command: UplinkCommand) => {
  process.send!(await carryOut(command).catch(codeOf));
});

async function carryOut(command: UplinkCommand): Promise<object> {
  if (command.do === 'open') {
    const frames: string[] = [];
    const codes: string[] = [];
    const note = (error: UnderstudyError) => codes.push(error.code);
    const uplink = await openUplink(command.config, {
      onFrame: (frame) => frames.push(Buffer.from(frame).toString('hex')),
      onGone: note,
      onWarning: note,
    });
    opened.set(command.id, { uplink, frames, codes });
    return { ok: true };
  }
  if (command.do === 'drop-privileges') {
    process.chdir('/');
    process.setgroups!([]);
    process.setgid!(nobody);
    process.setuid!(nobody);
    return { ok: true };
  }
  const { uplink, frames, codes } = opened.get(command.id)!;
  switch (command.do) {
    case 'send': {
      let taken = 0;
      const frame = Buffer.from(command.frame, 'hex');
      for (let index = 0; index < command.count; index++) if (uplink.send(frame)) taken++;
      return { taken };
    }
    case 'announce':
      endAnnouncement();
      endAnnouncement = announce(command.mac, (frame) => uplink.send(frame));
      return { ok: true };
    case 'seen':
      return { frames: frames.filter((frame) => frame.includes(command.mark)), codes };
    case 'close':
      await uplink.close();
      opened.delete(command.id);
      return { ok: true };
  }
}

function codeOf(error: unknown): { readonly code: string } {
  if (!isUnderstudyError(error)) throw error;
  return { code: error.code };
}
