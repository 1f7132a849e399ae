import type { Chart, Curve, CurvePoint } from './curves.ts';
import { escapeHtml } from './escape.ts';
import { linearScale, logScale, type Scale } from './scale.ts';

const WIDTH = 720;
const HEIGHT = 360;
const LEFT = 56;
const RIGHT = 16;
const TOP = 12;
const BOTTOM = 44;

/** Lines are told apart by colour and by dash, so that a print without colours can be read. */
const DASHES = ['', '7 3', '2 3', '10 3 2 3', '5 2 1 2 1 2', '14 4', '1 2'];
export const LINE_COLOURS = 7;
const look = (i: number): string =>
  `class="line c${i % LINE_COLOURS}" stroke-dasharray="${DASHES[Math.floor(i / LINE_COLOURS + i) % DASHES.length]}"`;

/**
 * A chart as SVG with title and description: mean over seeds as a line, ± one standard deviation as a band, baselines as
 * horizontal lines. Losses that span more than a decade get a logarithmic axis. `id` is unique within the page.
 */
export function chartSvg(chart: Chart, id: string): string {
  const { metric, curves, references, rounds } = chart;
  const x = linearScale(0, rounds, 8);
  const y = valueScale(chart);
  const px = (value: number) => (LEFT + Math.min(1, x.of(value)) * (WIDTH - LEFT - RIGHT)).toFixed(1);
  const py = (value: number) => (HEIGHT - BOTTOM - y.of(value) * (HEIGHT - TOP - BOTTOM)).toFixed(1);
  const grid = y.ticks.map(
    ({ value, label }) =>
      `<line class="grid" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${py(value)}" y2="${py(value)}"/>` +
      `<text class="tick" x="${LEFT - 6}" y="${py(value)}" dy=".32em" text-anchor="end">${label}</text>`,
  );
  const below = x.ticks
    .filter(({ value }) => value <= rounds && Number.isInteger(value))
    .map(
      ({ value, label }) =>
        `<text class="tick" x="${px(value)}" y="${HEIGHT - BOTTOM + 16}" text-anchor="middle">${label}</text>`,
    );
  const bands = curves.map((curve, i) => band(curve, { px, py, low: y.ticks[0]?.value ?? 0, i }));
  const lines = curves.map(({ points }, i) => {
    const path = points.map((point) => `${px(point.rounds)},${py(point.mean)}`).join(' ');
    const dots = points.map(
      (point) => `<circle class="dot c${i % LINE_COLOURS}" cx="${px(point.rounds)}" cy="${py(point.mean)}" r="2.5"/>`,
    );
    return `<polyline ${look(i)} points="${path}"/>${dots.join('')}`;
  });
  const flat = references.map(
    ({ kind, value }) =>
      `<line class="reference ${kind}" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${py(value)}" y2="${py(value)}"/>`,
  );
  const axes =
    `<text class="axis" x="${(LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - 6}" text-anchor="middle">rounds</text>` +
    `<text class="axis" transform="translate(12 ${(HEIGHT - BOTTOM + TOP) / 2}) rotate(-90)" text-anchor="middle">` +
    `${escapeHtml(axisTitle(chart))}</text>`;
  return (
    `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-labelledby="${id}-title ${id}-desc">` +
    `<title id="${id}-title">Held-out ${escapeHtml(metric.title)} by round</title>` +
    `<desc id="${id}-desc">${escapeHtml(description(chart))}</desc>` +
    [...grid, ...below, axes, ...bands, ...flat, ...lines].join('') +
    '</svg>'
  );
}

/** Samples of the lines with their names, as HTML. */
export function chartLegend({ curves, references }: Chart): string {
  const sample = (attributes: string) =>
    `<svg class="sample" viewBox="0 0 36 10" aria-hidden="true"><line x1="0" x2="36" y1="5" y2="5" ${attributes}/></svg>`;
  const items = [
    ...curves.map(({ title, done }, i) => `${sample(look(i))} ${escapeHtml(title)}${done ? '' : ' (unfinished)'}`),
    ...references.map(
      ({ title, kind }) => `${sample(`class="reference ${kind}"`)} ${escapeHtml(title)}, after the last round`,
    ),
  ];
  return `<ul class="legend">${items.map((item) => `<li>${item}</li>`).join('')}</ul>`;
}

/** Whole words for those who do not see the chart. */
export function description({ metric, curves, references }: Chart): string {
  const ends = curves.map(({ title, points }) => {
    const [first, last] = [points[0] as CurvePoint, points.at(-1) as CurvePoint];
    return `${title} from ${first.mean.toFixed(4)} at round ${first.rounds} to ${last.mean.toFixed(4)} at round ${last.rounds}`;
  });
  const flat = references.map(({ title, value }) => `${title} ends at ${value.toFixed(4)}`);
  return `Held-out ${metric.title}, mean over seeds: ${[...ends, ...flat].join('; ')}.`;
}

const isLogarithmic = ({ metric, ...chart }: Chart): boolean => {
  const values = drawnValues(chart);
  return metric.id === 'loss' && Math.min(...values) > 0 && Math.max(...values) > 10 * Math.min(...values);
};

const axisTitle = (chart: Chart): string => {
  const { title, unit } = chart.metric;
  return `${title}${unit === 'share' ? '' : `, ${unit}`}${isLogarithmic(chart) ? ' (logarithmic)' : ''}`;
};

const drawnValues = ({ curves, references }: Pick<Chart, 'curves' | 'references'>): number[] => [
  ...curves.flatMap(({ points }) => points.map(({ mean }) => mean)),
  ...references.map(({ value }) => value),
];

function valueScale(chart: Chart): Scale {
  const bands = chart.curves.flatMap(({ points }) =>
    points.flatMap(({ mean, stdDev }) => (stdDev === null ? [] : [mean - stdDev, mean + stdDev])),
  );
  const values = drawnValues(chart);
  if (isLogarithmic(chart)) {
    const positive = [...values, ...bands.filter((value) => value > Math.min(...values) / 2)];
    return logScale(Math.min(...positive), Math.max(...positive));
  }
  const all = [...values, ...bands];
  const [low, high] = [Math.min(...all), Math.max(...all)];
  // Shares have ends of their own; a band may reach over them, the axis not.
  if (chart.metric.unit === 'share') return linearScale(Math.max(0, low), Math.min(1, high));
  return linearScale(low, high);
}

function band(
  { points }: Curve,
  { px, py, low, i }: { px(value: number): string; py(value: number): string; low: number; i: number },
): string {
  const known = points.filter(({ stdDev }) => stdDev !== null);
  if (known.length < 2) return '';
  const edge = (sign: number) =>
    known.map(({ rounds, mean, stdDev }) => `${px(rounds)},${py(Math.max(low, mean + sign * (stdDev ?? 0)))}`);
  return `<polygon class="band c${i % LINE_COLOURS}" points="${[...edge(1), ...edge(-1).reverse()].join(' ')}"/>`;
}
