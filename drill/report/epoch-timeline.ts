import type { TimedEvent } from '../../shared/observe/events.ts';
import { laneOf, lanes, type Span, type Stage } from '../../shared/observe/spans.ts';
import { formatMs } from '../amounts.ts';
import { type EventOf, isKind, type RunEvents } from '../measure.ts';
import { escapeText, px } from './markup.ts';
import { tightScale } from './scale.ts';

/**
 * Where time went in one epoch, on both hosts: a lane each for the guest, its agent and the
 * backup, stages that lie in others a row below them. Of the epoch with the median of the
 * pauses, and of the one with the longest; none where no spans were recorded.
 */
export function epochTimelines(events: RunEvents): string[] {
  const fromMs = events.servesFromMs ?? Number.NEGATIVE_INFINITY;
  const epochs = events.primary
    .filter(isKind('epoch'))
    .filter((it) => it.pausedAtMs >= fromMs && spansOf(events.primary, it).length > 0)
    .sort((a, b) => a.pauseMs - b.pauseMs);
  const median = epochs[Math.ceil(epochs.length / 2) - 1];
  const longest = epochs.at(-1);
  if (median === undefined || longest === undefined) return [];
  const both: [string, EventOf<'epoch'>][] = [['median', median]];
  if (longest !== median) both.push(['longest', longest]);
  return both.map(([which, epoch]) => {
    const title = `Where time went in epoch ${epoch.epoch}: the ${which} pause`;
    const spans = [...spansOf(events.primary, epoch), ...spansOf(events.backup, epoch)];
    return timeline(`${title}, ${formatMs(epoch.pauseMs)}`, spans, epoch.pausedAtMs);
  });
}

/** The spans of an epoch: the first session's, if another counted from 1 again. */
function spansOf(
  events: readonly TimedEvent[],
  { epoch, atMs }: EventOf<'epoch'>,
): readonly Span[] {
  const of = events.filter(isKind('spans')).find((it) => it.epoch === epoch && it.atMs >= atMs);
  return of?.spans ?? [];
}

function timeline(title: string, spans: readonly Span[], zeroMs: number): string {
  const startMs = Math.min(...spans.map(({ fromMs }) => fromMs));
  const endMs = Math.max(...spans.map(({ fromMs, ms }) => fromMs + ms));
  const x = tightScale([startMs - zeroMs, endMs - zeroMs], [left, right], 8);
  let y = top;
  const parts: string[] = [];
  for (const lane of lanes) {
    const rows = rowsOf(spans.filter(({ stage }) => laneOf(stage) === lane));
    if (rows.length === 0) continue;
    parts.push(`<text x="${left - 8}" y="${px(y + rowHeight / 2)}" class="y">${lane}</text>`);
    for (const row of rows) {
      for (const span of row) {
        const from = x.at(span.fromMs - zeroMs);
        const width = Math.max(x.at(span.fromMs + span.ms - zeroMs) - from, 0.8);
        parts.push(bar(span, from, y, width));
      }
      y += rowHeight;
    }
    y += laneGap;
  }
  const ticks = x.ticks.map(
    (tick) =>
      `<line class="grid" x1="${px(x.at(tick))}" x2="${px(x.at(tick))}" y1="${top}" y2="${y}"/>` +
      `<text x="${px(x.at(tick))}" y="${y + 14}" class="x">${tick}</text>`,
  );
  const text = escapeText(title);
  return (
    `<svg viewBox="0 0 860 ${y + 38}" role="img" aria-label="${text}">` +
    `<text x="0" y="16" class="title">${text}</text>${ticks.join('')}${parts.join('')}` +
    `<text x="${(left + right) / 2}" y="${y + 32}" class="x">ms since the guest was asked to stop` +
    '</text></svg>'
  );
}

/** Row 0 holds what lies in nothing else, row 1 what lies in that, and so on. */
function rowsOf(spans: readonly Span[]): Span[][] {
  const rows: Span[][] = [];
  const open: number[] = [];
  const byStart = [...spans].sort((a, b) => a.fromMs - b.fromMs || b.ms - a.ms);
  for (const span of byStart) {
    while (open.length > 0 && open.at(-1)! <= span.fromMs + 1e-6) open.pop();
    rows[open.length] ??= [];
    rows[open.length]!.push(span);
    open.push(span.fromMs + span.ms);
  }
  return rows;
}

function bar({ stage, ms }: Span, x: number, y: number, width: number): string {
  const rect =
    `<rect class="f${colourOf[stage]}" x="${px(x)}" y="${px(y)}" width="${px(width)}" ` +
    `height="${rowHeight - 3}"><title>${stage} ${escapeText(formatMs(ms))}</title></rect>`;
  if (width < stage.length * 7) return rect;
  return `${rect}<text x="${px(x + 4)}" y="${px(y + rowHeight - 7)}" class="inside">${stage}</text>`;
}

const colourOf: Record<Stage, number> = {
  ...{ pause: 5, stop: 1, scan: 2, copy: 3, device: 4, resume: 1, brake: 2 },
  ...{ 'live-scan': 2, 'live-copy': 3, look: 2, encode: 4, send: 1, audit: 5 },
  ...{ receive: 1, decode: 4, apply: 3 },
};

const [left, right, top] = [70, 850, 30];
const [rowHeight, laneGap] = [20, 8];
