import type { TimedEvent } from '../../shared/observe/events.ts';
import { formatBytes, formatCount, formatMs } from '../amounts.ts';
import { isKind, type RunEvents } from '../measure.ts';
import { type Axes, linePlot, stackPlot } from './plot.ts';

const pauseParts = ['stop', 'scan', 'copy', 'device', 'resume'] as const;

/** The plots over the run's time, as SVG; none where no epoch was taken. */
export function runPlots(events: RunEvents): string[] {
  const epochs = events.primary.filter(isKind('epoch'));
  const acks = events.primary.filter(isKind('ack'));
  const [first] = epochs;
  if (first === undefined) return [];
  const originMs = first.atMs;
  const seconds = (atMs: number) => (atMs - originMs) / 1000;
  const endS = Math.max(0.001, seconds(events.killedAtMs ?? lastOf(events.primary, originMs)));
  const mark = (atMs: number | undefined, label: string) =>
    atMs === undefined ? [] : [{ x: seconds(atMs), label }];
  const axes = (title: string, format: Axes['format']): Axes => ({
    title,
    format,
    xLabel: 'seconds since the first epoch',
    xRange: [Math.min(0, seconds(epochs[0]!.pausedAtMs)), endS],
    marks: [
      ...mark(events.servesFromMs, 'guest serves'),
      ...mark(events.killedAtMs, 'host killed'),
    ],
  });
  return [
    stackPlot({
      ...axes('Pause of each epoch (type II downtime)', formatMs),
      parts: pauseParts,
      bars: epochs.map((epoch) => ({
        x: seconds(epoch.pausedAtMs),
        values: pauseParts.map((part) => epoch.phasesMs[part]),
        label: `epoch ${epoch.epoch}: ${pauseParts
          .map((part) => `${part} ${formatMs(epoch.phasesMs[part])}`)
          .join(', ')}`,
      })),
    }),
    linePlot({
      ...axes('Pages written in each epoch', formatCount),
      series: [
        { name: 'dirty', points: epochs.map((e) => [seconds(e.pausedAtMs), e.dirtyPages]) },
        { name: 'changed', points: epochs.map((e) => [seconds(e.pausedAtMs), e.changedPages]) },
      ],
    }),
    linePlot({
      ...axes('Bytes of each epoch', formatBytes),
      logarithmic: true,
      series: [
        { name: 'on the wire', points: epochs.map((e) => [seconds(e.pausedAtMs), e.wireBytes]) },
        { name: 'as whole pages', points: epochs.map((e) => [seconds(e.pausedAtMs), e.pageBytes]) },
      ],
    }),
    linePlot({
      ...axes('Acknowledgement behind its checkpoint', formatMs),
      series: [{ name: 'lag', points: acks.map((e) => [seconds(e.atMs), e.lagMs]) }],
    }),
  ];
}

const lastOf = (events: readonly TimedEvent[], otherwise: number) =>
  events.at(-1)?.atMs ?? otherwise;
