import { escapeText, px } from './markup.ts';
import { linearScale, logScale, type Scale, tightScale } from './scale.ts';

/** Plots as SVG text. Colours are the page's (`--c1` … `--c5`), so they follow light and dark. */

export interface Mark {
  readonly x: number;
  readonly label: string;
}

export interface Axes {
  readonly title: string;
  readonly xLabel: string;
  readonly xRange: readonly [number, number];
  /** A y value as the axis and the tooltips show it. */
  readonly format: (value: number) => string;
  /** Vertical lines, such as the instant of the fault. */
  readonly marks?: readonly Mark[];
}

export interface Series {
  readonly name: string;
  readonly points: readonly (readonly [x: number, y: number])[];
}

/** One line a series. A logarithmic axis suits series of different magnitudes. */
export function linePlot(
  plot: Axes & { series: readonly Series[]; logarithmic?: boolean },
): string {
  const values = plot.series.flatMap(({ points }) => points.map(([, y]) => y));
  const yScale = plot.logarithmic
    ? logScale(values, [bottom, top])
    : linearScale([0, greatest(values)], [bottom, top], 5);
  const x = tightScale(plot.xRange, [left, right], 8);
  const lines = plot.series.map(({ name, points }, index) => {
    const path = points.map(([px_, py]) => `${px(x.at(px_))},${px(yScale.at(py))}`).join(' ');
    const dots = points.length > dotCountMax ? [] : points.map((point) => dot(point, name));
    return `<g class="s${index + 1}"><polyline points="${path}"/>${dots.join('')}</g>`;
  });
  function dot([px_, py]: readonly [number, number], name: string): string {
    const title = escapeText(`${name}: ${plot.format(py)}`);
    const place = `cx="${px(x.at(px_))}" cy="${px(yScale.at(py))}"`;
    return `<circle ${place} r="2.2"><title>${title}</title></circle>`;
  }
  const names = plot.series.map(({ name }) => name);
  return frame(plot, x, yScale, lines.join(''), names);
}

export interface StackedBar {
  readonly x: number;
  /** One value for each of the plot's parts. */
  readonly values: readonly number[];
  readonly label: string;
}

/** Bars made of parts. More bars than fit are thinned: of neighbours, the highest stays. */
export function stackPlot(
  plot: Axes & { parts: readonly string[]; bars: readonly StackedBar[] },
): string {
  const perBar = Math.ceil(plot.bars.length / barCountMax);
  const bars = thin(plot.bars, perBar);
  const title = perBar > 1 ? `${plot.title}, the highest of each ${perBar}` : plot.title;
  const yScale = linearScale([0, greatest(bars.map(heightOf))], [bottom, top], 5);
  const x = tightScale(plot.xRange, [left, right], 8);
  const width = Math.max(1.2, Math.min(14, ((right - left) / Math.max(bars.length, 1)) * 0.7));
  const drawn = bars.map((bar) => {
    let base = 0;
    const pieces = bar.values.map((value, index) => {
      const y = yScale.at(base + value);
      const height = yScale.at(base) - y;
      base += value;
      const place = `x="${px(x.at(bar.x) - width / 2)}" y="${px(y)}"`;
      return `<rect class="f${index + 1}" ${place} width="${px(width)}" height="${px(height)}"/>`;
    });
    return `<g><title>${escapeText(bar.label)}</title>${pieces.join('')}</g>`;
  });
  return frame({ ...plot, title }, x, yScale, drawn.join(''), plot.parts);
}

const [width, height] = [860, 260];
const [left, right, top, bottom] = [78, width - 14, 40, height - 38];
const dotCountMax = 150;
const barCountMax = 160;

function frame(plot: Axes, x: Scale, y: Scale, body: string, names: readonly string[]): string {
  const rows = y.ticks.map((tick) => {
    const at = px(y.at(tick));
    const label = `<text x="${left - 8}" y="${at}" class="y">${tickLabel(plot, tick)}</text>`;
    return `<line x1="${left}" x2="${right}" y1="${at}" y2="${at}" class="grid"/>${label}`;
  });
  const columns = x.ticks.map(
    (tick) => `<text x="${px(x.at(tick))}" y="${bottom + 16}" class="x">${tick}</text>`,
  );
  const marks = (plot.marks ?? []).map((mark) => {
    const at = px(x.at(mark.x));
    const line = `<line x1="${at}" x2="${at}" y1="${top}" y2="${bottom}" class="mark"/>`;
    return `${line}<text x="${at}" y="${top - 4}" class="marked">${escapeText(mark.label)}</text>`;
  });
  return [
    `<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${escapeText(plot.title)}">`,
    `<text x="0" y="16" class="title">${escapeText(plot.title)}</text>`,
    legend(names),
    ...rows,
    ...columns,
    `<text x="${(left + right) / 2}" y="${height - 4}" class="x">${escapeText(plot.xLabel)}</text>`,
    body,
    ...marks,
    '</svg>',
  ].join('');
}

/** Ticks are round: decimals of zeros say nothing. */
const tickLabel = (plot: Axes, tick: number) =>
  escapeText(plot.format(tick).replace(/\.0+(?= |$)/, ''));

function legend(names: readonly string[]): string {
  if (names.length < 2) return '';
  let at = right;
  const entries = names.toReversed().map((name, index) => {
    at -= name.length * 6.4 + 24;
    const swatch = `<rect x="${px(at)}" y="7" width="10" height="10" rx="2" `;
    const text = `<text x="${px(at + 15)}" y="16" class="legend">${escapeText(name)}</text>`;
    return `${swatch}class="f${names.length - index}"/>${text}`;
  });
  return entries.join('');
}

function thin(bars: readonly StackedBar[], perBin: number): StackedBar[] {
  if (perBin <= 1) return [...bars];
  return Array.from({ length: Math.ceil(bars.length / perBin) }, (_, i) =>
    bars
      .slice(i * perBin, (i + 1) * perBin)
      .reduce((highest, bar) => (heightOf(bar) > heightOf(highest) ? bar : highest)),
  );
}

const heightOf = (bar: StackedBar) => bar.values.reduce((sum, value) => sum + value, 0);

const greatest = (values: readonly number[]) =>
  values.reduce((most, value) => Math.max(most, value), 0) || 1;
