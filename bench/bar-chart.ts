import { escapeText, px } from '../drill/report/markup.ts';
import { linearScale, logScale } from '../drill/report/scale.ts';

/** Groups of bars, as a whole SVG file: readable on a light ground and on a dark one. */
export interface BarChart {
  readonly title: string;
  readonly yLabel: string;
  /** One bar of each name in every group, in this order. */
  readonly names: readonly string[];
  readonly groups: readonly BarGroup[];
  /** A value as the axis and the bars show it. */
  readonly format: (value: number) => string;
  readonly logarithmic: boolean;
}

export interface BarGroup {
  readonly label: string;
  /** In the order of the names; undefined where nothing was measured. */
  readonly values: readonly (number | undefined)[];
}

const [width, height] = [860, 320];
const [left, right, top, bottom] = [74, width - 12, 52, height - 40];
const colors = ['#e69f00', '#d55e00', '#0072b2', '#009e73'];

export function barChart(chart: BarChart): string {
  const { title, yLabel, names, groups, format, logarithmic } = chart;
  const known = groups.flatMap(({ values }) => values.filter((value) => value !== undefined));
  const scale = logarithmic
    ? logScale(known, [bottom, top])
    : linearScale([Math.min(0, ...known), Math.max(...known, 1e-6)], [bottom, top], 5);
  const floor = logarithmic ? bottom : scale.at(0);
  const step = (right - left) / Math.max(1, groups.length);
  const barWidth = Math.min(46, (step * 0.8) / names.length);
  const rows = scale.ticks.map((tick) => {
    const y = px(scale.at(tick));
    const line = `<line x1="${left}" x2="${right}" y1="${y}" y2="${y}" stroke="#8884"/>`;
    return `${line}<text x="${left - 6}" y="${y}" class="y">${escapeText(format(tick))}</text>`;
  });
  const bars = groups.flatMap(({ label, values }, group) => {
    const middle = left + step * (group + 0.5);
    const from = middle - (barWidth * names.length) / 2;
    const drawn = values.map((value, index) => {
      const x = from + index * barWidth;
      const at = `x="${px(x + barWidth / 2)}"`;
      if (value === undefined) return `<text ${at} y="${px(floor - 4)}" class="v">–</text>`;
      const [y, other] = [scale.at(value), floor];
      const size = `y="${px(Math.min(y, other))}" height="${px(Math.abs(other - y))}"`;
      const place = `x="${px(x + 1)}" width="${px(barWidth - 2)}"`;
      const number = `<text ${at} y="${px(Math.min(y, other) - 4)}" class="v">`;
      return `<rect ${place} ${size} fill="${colors[index]}"/>${number}${escapeText(format(value))}</text>`;
    });
    return [
      ...drawn,
      `<text x="${px(middle)}" y="${bottom + 18}" class="x">${escapeText(label)}</text>`,
    ];
  });
  const legend = names.map((name, index) => {
    const x = left + index * 190;
    const swatch = `<rect x="${x}" y="28" width="10" height="10" fill="${colors[index]}"/>`;
    return `${swatch}<text x="${x + 15}" y="37">${escapeText(name)}</text>`;
  });
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img" \
aria-label="${escapeText(title)}">`,
    '<style>text{font:12px sans-serif;fill:#777}.t{font-weight:bold}.y{text-anchor:end;\
dominant-baseline:middle}.x,.v{text-anchor:middle}.v{font-size:9px}</style>',
    `<text x="${left}" y="17" class="t">${escapeText(title)}</text>`,
    ...legend,
    ...rows,
    ...bars,
    `<text x="12" y="${(top + bottom) / 2}" class="x" transform="rotate(-90 12 \
${(top + bottom) / 2})">${escapeText(yLabel)}</text>`,
    '</svg>',
  ].join('\n')}\n`;
}
