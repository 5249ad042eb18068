import { formatMs } from '../amounts.ts';
import type { FailoverMs } from '../measure.ts';
import { escapeText, px } from './markup.ts';

/** The takeover as one bar, its phases to scale, with the small ones named below by a line. */
export function failoverTimeline(failover: FailoverMs): string {
  const { detect, decide, load, verify, resume, total } = failover;
  const phases = Object.entries({ detect, decide, load, verify, resume });
  const scale = (right - left) / Math.max(total, 1e-9);
  let startMs = 0;
  const parts = phases.map(([name, ms], index) => {
    const x = left + startMs * scale;
    const width = Math.max(ms * scale, 0.8);
    startMs += ms;
    const label = `${name} ${formatMs(ms)}`;
    const rect =
      `<rect class="f${index + 1}" x="${px(x)}" y="${barTop}" width="${px(width)}" ` +
      `height="${barHeight}"><title>${escapeText(label)}</title></rect>`;
    // Labels stand in columns of their own: phases of a tenth of a millisecond have no room.
    const column = left + (index + 0.5) * ((right - left) / phases.length);
    const elbow = `${px(x + width / 2)},${barTop + barHeight} ${px(x + width / 2)},${barTop + 50}`;
    return (
      `${rect}<polyline class="leader" points="${elbow} ${px(column)},${barTop + 66}"/>` +
      `<text x="${px(column)}" y="${barTop + 80}" class="x name">${escapeText(name)}</text>` +
      `<text x="${px(column)}" y="${barTop + 96}" class="x">${escapeText(formatMs(ms))}</text>`
    );
  });
  const title = `Takeover: ${formatMs(total)} from the kill to the running guest`;
  const ends =
    `<text x="${left}" y="${barTop - 7}" class="legend">host killed</text>` +
    `<text x="${right}" y="${barTop - 7}" class="end">guest runs</text>`;
  return (
    `<svg viewBox="0 0 860 ${barTop + 106}" role="img" aria-label="${escapeText(title)}">` +
    `<text x="0" y="16" class="title">${escapeText(title)}</text>${ends}${parts.join('')}</svg>`
  );
}

const [left, right] = [10, 850];
const [barTop, barHeight] = [48, 34];
