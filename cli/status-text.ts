import type { AgentStatus } from '../shared/agent/agent-status.ts';
import { ms } from '../shared/observe/event-log.ts';

/** A status for people: what matters most comes first. Ends in a line break. */
export function statusText(status: AgentStatus, isColoured: boolean): string {
  const rows = [
    ['agent', agentRow(status)],
    ['state', `${status.state} for ${age(status, status.since)}: ${status.cause}`],
    ['runs here', status.runsHere ? 'yes' : 'no'],
    ['term', termRow(status)],
    ['epochs', epochsRow(status)],
    ['pause', pauseRow(status)],
    ['codec', codecRow(status)],
    ['other side', peerRow(status)],
    ['verified', verifiedRow(status)],
    ['taken over', takeoverRow(status)],
    ['last loss', lossRow(status)],
    ['last problem', problemRow(status)],
  ].filter(([, text]) => text !== undefined);
  const lines = rows.map(([name, text]) => `  ${name!.padEnd(12)}  ${text}`);
  return `${[headline(status, isColoured), ...lines].join('\n')}\n`;
}

function headline(status: AgentStatus, isColoured: boolean): string {
  const { guest, paused } = status;
  const paint = (colour: number, text: string) =>
    isColoured ? `\x1b[1;${colour}m${text}\x1b[0m` : text;
  if (status.protected) return `${guest}: ${paint(32, 'PROTECTED')}`;
  if (paused !== null) {
    const hint = `no takeover until \`understudy resume ${guest}\``;
    return `${guest}: ${paint(31, 'PAUSED, NOT PROTECTED')}: since ${clock(paused.since)}; ${hint}`;
  }
  return `${guest}: ${paint(31, 'NOT PROTECTED')}: ${status.notProtected}`;
}

function agentRow({ role, pid, startedAt }: AgentStatus): string {
  return `${role ?? 'no role yet'}, process ${pid}, started ${clock(startedAt)}`;
}

function termRow({ term, termProblem, role }: AgentStatus): string | undefined {
  if (termProblem !== null) return termProblem;
  if (term === null) return role === null ? undefined : 'none yet';
  const doubt = term.undecided ? '; the next one is asked for and undecided' : '';
  const holder = term.heldHere ? 'this host' : 'the other host';
  return `${term.number}, ${term.mode}, held by ${holder} since ${clock(term.at)}${doubt}`;
}

function epochsRow(status: AgentStatus): string | undefined {
  const { captured, acknowledged } = status.epochs;
  if (status.role === 'backup') {
    return acknowledged === null ? undefined : `${acknowledged} held whole`;
  }
  if (captured === null) return undefined;
  const held = acknowledged === null ? 'none acknowledged' : `${acknowledged} acknowledged`;
  const lag = status.lagMs === null ? '' : `, ${ms(status.lagMs)} behind`;
  const late = status.unacknowledgedMs ?? 0;
  const waits = late > lateMs ? `; the oldest waits for ${ms(late)}` : '';
  return `${captured} captured, ${held}${lag}${waits}`;
}

/** Younger epochs are on their way. */
const lateMs = 1000;

function pauseRow({ pause }: AgentStatus): string | undefined {
  if (pause === null) return undefined;
  return `median ${ms(pause.medianMs)}, longest ${ms(pause.maxMs)} of ${pause.epochs} epochs`;
}

function codecRow({ codec }: AgentStatus): string | undefined {
  return codec === null ? undefined : `${codec.name}: ${codec.why}`;
}

function peerRow({ peer, role }: AgentStatus): string | undefined {
  if (peer === null) return undefined;
  const name = role === 'primary' ? 'backup' : 'primary';
  const heard = peer.heardMsAgo === null ? '' : `, heard ${ms(peer.heardMsAgo)} ago`;
  if (!peer.alive) return `the ${name} does not seem to be alive${heard}`;
  const does = peer.activity === null ? '' : `, ${peer.activity}`;
  return `the ${name} is alive${does}${heard}`;
}

function verifiedRow(status: AgentStatus): string | undefined {
  const { verification } = status;
  if (verification === null) return undefined;
  const { ok, side, epoch, at } = verification;
  const found = ok ? 'RAM was right' : 'RAM DIFFERED';
  return `${found} at epoch ${epoch} on the ${side}, ${age(status, at)} ago`;
}

function takeoverRow({ takeover }: AgentStatus): string | undefined {
  if (takeover === null) return undefined;
  const { at, planned, epoch, totalMs } = takeover;
  const how = planned ? 'by a switchover' : 'because the primary was lost';
  return `here at ${clock(at)} ${how}, at epoch ${epoch}, in ${ms(totalMs)}`;
}

function lossRow({ lastLoss }: AgentStatus): string | undefined {
  return lastLoss === null ? undefined : `protection, at ${clock(lastLoss.at)}: ${lastLoss.cause}`;
}

function problemRow(status: AgentStatus): string | undefined {
  const { lastProblem } = status;
  if (lastProblem === null) return undefined;
  const { at, code, message } = lastProblem;
  return `${age(status, at)} ago: ${code}: ${message}`;
}

/** From `since` to the making of the status. */
function age({ at }: AgentStatus, since: string): string {
  const seconds = Math.max(0, Math.floor((Date.parse(at) - Date.parse(since)) / 1000));
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min`;
  return seconds < 172_800
    ? `${Math.floor(seconds / 3600)} h`
    : `${Math.floor(seconds / 86_400)} d`;
}

/** Local time, with the day where it is not today's. */
function clock(at: string): string {
  const when = new Date(at);
  const time = when.toTimeString().slice(0, 8);
  return when.toDateString() === new Date().toDateString() ? time : `${at.slice(0, 10)} ${time}`;
}
