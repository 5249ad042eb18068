import { formatBytes, formatCount, formatMs, formatShare } from '../amounts.ts';
import type { RunEvents } from '../measure.ts';
import type { DrillResult } from '../result.ts';
import { epochTimelines } from './epoch-timeline.ts';
import { escapeText } from './markup.ts';
import { runPlots } from './plots.ts';
import { style } from './style.ts';
import { failoverTimeline } from './timeline.ts';

/** The report as one HTML page that needs nothing else. */
export function reportPage(result: DrillResult, events: RunEvents): string {
  const title = `Understudy drill: ${result.scenario}`;
  const plots = [
    ...(result.failoverMs === null ? [] : [failoverTimeline(result.failoverMs)]),
    ...epochTimelines(events),
    ...runPlots(events),
  ];
  return [
    '<!doctype html>',
    '<html lang="en"><head><meta charset="utf-8">',
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    `<title>${escapeText(title)}</title><style>${style}</style></head><body>`,
    `<h1>${escapeText(title)}</h1>`,
    `<p class="dim">${escapeText(subtitle(result))}</p>`,
    verdict(result),
    `<div class="tiles">${tiles(result).join('')}</div>`,
    '<h2>Checks</h2>',
    checkTable(result),
    ...(plots.length === 0 ? [] : ['<h2>Course</h2>']),
    ...plots.map((plot) => `<figure>${plot}</figure>`),
    '<h2>Conditions</h2>',
    conditionTable(result),
    ...logs(result),
    '</body></html>\n',
  ].join('\n');
}

function subtitle({ conditions, seed, mode, epochMs }: DrillResult): string {
  const at = conditions.startedAt.replace('T', ' ').replace(/\.\d+Z$/, ' UTC');
  return `${at} · mode ${mode} · an epoch each ${epochMs} ms · seed ${seed}`;
}

function verdict({ ok, checks, error }: DrillResult): string {
  const failed = checks.filter((check) => !check.ok);
  if (ok) return '<div class="verdict good">✓ Every check held</div>';
  const why =
    error === null
      ? `${failed.length} of ${checks.length} checks did not hold`
      : `${error.code}: ${error.message}`;
  const hint = error === null ? '' : `<p>${escapeText(error.hint)}</p>`;
  return `<div class="verdict bad">✗ ${escapeText(why)}${hint}</div>`;
}

function tiles(result: DrillResult): string[] {
  const { failoverMs, pauseMs, wire, epochs, dataLost, unprotectedWrites, ackLagMs, sync } = result;
  const first = sync[0];
  const list: [value: string, label: string, more: string][] = [
    [
      formatMs(failoverMs?.total ?? null),
      'type I downtime',
      failoverMs === null ? 'no takeover' : `${formatMs(failoverMs.detect)} of it detection`,
    ],
    [
      formatMs(pauseMs.p50),
      'median pause',
      `99 % ${formatMs(pauseMs.p99)}, longest ${formatMs(pauseMs.max)}`,
    ],
    [
      formatShare(wire.ratio),
      'of page bytes sent',
      `${formatBytes(wire.bytes)} of ${formatBytes(wire.pageBytes)}`,
    ],
    [
      dataLost === null ? '–' : formatCount(dataLost),
      'protected writes lost',
      unprotectedWrites === null
        ? 'no store to write to'
        : `${formatCount(unprotectedWrites)} after the last checkpoint`,
    ],
    [
      formatCount(epochs.captured),
      'epochs',
      `${formatCount(epochs.acked)} acknowledged, median ${formatMs(ackLagMs.p50)} behind`,
    ],
    [
      first === undefined ? '–' : formatBytes(first.bytes),
      'first synchronisation',
      first === undefined
        ? 'none'
        : `${formatCount(first.pages)} pages in ${formatMs(first.syncMs)}`,
    ],
  ];
  return list.map(
    ([value, label, more]) =>
      `<div class="tile"><b>${escapeText(value)}</b>${escapeText(label)}` +
      `<span>${escapeText(more)}</span></div>`,
  );
}

function checkTable({ checks }: DrillResult): string {
  const rows = checks.map(({ name, ok, detail }) => {
    const mark = `<td class="${ok ? 'good' : 'bad'}">${ok ? '✓' : '✗'}</td>`;
    return `<tr>${mark}<th>${escapeText(name)}</th><td>${escapeText(detail)}</td></tr>`;
  });
  return rows.length === 0
    ? '<p class="dim">The drill broke off before anything could be checked.</p>'
    : `<table>${rows.join('')}</table>`;
}

function conditionTable({
  conditions: at,
  resumedEpoch,
  failoverMs,
  unprotectedMs,
  startUp,
}: DrillResult): string {
  const rows: [string, string][] = [
    ['machine', `${at.processor}, ${at.cores} cores, ${formatBytes(at.memoryBytes)}`],
    ['system', `${at.kernel}, Node ${at.node}`],
    ['QEMU', `${at.qemu}, accelerator ${at.accelerator}`],
    ['NATS', at.natsServer],
    [
      'guest',
      `${at.guestName}: ${at.guestMemoryBytes / 2 ** 20} MiB, ${at.guestVcpus} vCPU; ` +
        at.guestImage,
    ],
    ['dirty pages by', at.tracker],
    [
      'before the guest served',
      `${startUp.epochs} epochs, longest pause ${formatMs(startUp.pauseMsMax)}, ` +
        `${formatBytes(startUp.wireBytes)} sent for ${formatBytes(startUp.pageBytes)} of pages; ` +
        'in the plots, not in the numbers above',
    ],
    ['resumed epoch', String(resumedEpoch ?? '–')],
    ['first answer to a client', formatMs(failoverMs?.service ?? null)],
    ['unprotected, each time', unprotectedMs.map(formatMs).join(', ') || '–'],
  ];
  const cells = rows.map(
    ([name, value]) => `<tr><th>${escapeText(name)}</th><td>${escapeText(value)}</td></tr>`,
  );
  return `<table>${cells.join('')}</table>`;
}

function logs({ error, runFolder }: DrillResult): string[] {
  const blocks = (error?.logs ?? []).flatMap(({ log, lines }) => [
    `<h2>${escapeText(log)}</h2>`,
    `<pre>${escapeText(lines.join('\n'))}</pre>`,
  ]);
  const kept = runFolder === null ? [] : [`<p>Logs kept in ${escapeText(runFolder)}</p>`];
  return [...blocks, ...kept];
}
