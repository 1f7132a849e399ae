import { formatBytes, formatDuration } from '../cli/output.ts';
import { type CellKind, METRICS_FILE } from '../simulation/records.ts';
import { keptText } from '../simulation/result-table.ts';
import { stepsOf, type TableRow } from './rows.ts';
import type { Section } from './section.ts';
import type { Spread } from './statistics.ts';

/** `0.8123 ± 0.0100`, with four decimals; only the mean where there is one value. */
export function spreadText(spread: Spread | null | undefined): string {
  if (!spread) return '–';
  const { mean, stdDev } = spread;
  return `${decimals(mean)}${stdDev === null ? '' : ` ± ${decimals(stdDev)}`}`;
}

const decimals = (value: number): string => value.toFixed(4).replace('-', '−');

/** Heads and cells of the algorithm × metric table, as text; the best of a column ends in `mark`. */
export function tableCells({ rows, metrics }: Section, mark: string): { heads: string[]; body: string[][] } {
  const sent = rows.some(({ bytesUp }) => bytesUp !== null);
  const counted = rows.some(({ clientSteps }) => clientSteps !== null);
  const heads = [
    'trained',
    'settings',
    'seeds',
    ...metrics.map(({ title, unit }) => (unit === 'share' ? title : `${title}, ${unit}`)),
    ...(counted ? ['steps a client'] : []),
    ...(sent ? ['up', 'down'] : []),
    'time',
  ];
  const body = rows.map((row) => [
    row.title,
    row.hyper,
    seedsText(row),
    ...metrics.map(({ id }) => `${figureText(row, id)}${row.best.includes(id) ? mark : ''}`),
    ...(counted ? [row.clientSteps ? stepsText(row.clientSteps.mean) : ''] : []),
    ...(sent ? [row.bytesUp, row.bytesDown].map((bytes) => (bytes ? formatBytes(bytes.mean) : '')) : []),
    row.seconds ? formatDuration(row.seconds.mean * 1000) : '',
  ]);
  const used = heads.map((_, i) => i !== 1 || body.some((cells) => cells[1] !== ''));
  const kept = (cells: readonly string[]) => cells.filter((_, i) => used[i]);
  return { heads: kept(heads), body: body.map(kept) };
}

const stepsText = (steps: number): string => (Number.isInteger(steps) ? String(steps) : steps.toFixed(1));

/** With `(n 2)` where fewer seeds have the figure than are done: the others' adapters had none that is finite. */
function figureText({ seeds, metrics }: TableRow, id: string): string {
  const spread = metrics[id];
  const n = spread?.n ?? 0;
  return `${spreadText(spread)}${seeds !== null && n < seeds.done ? ` (n ${n})` : ''}`;
}

/** `3`, or `2 of 3, unfinished`, and `1 diverged`. */
function seedsText({ seeds, diverged }: TableRow): string {
  if (seeds === null) return '';
  const done = seeds.done === seeds.all ? String(seeds.all) : `${seeds.done} of ${seeds.all}, unfinished`;
  return diverged > 0 ? `${done}, ${diverged} diverged` : done;
}

/** How the table is to be read, in sentences. */
export function tableNotes(section: Section): string[] {
  const { experiment, metrics, rows } = section;
  const heldOut = experiment.record.held_out_rows;
  const unlike = rows.some(
    (row) => row.seeds && metrics.some(({ id }) => (row.metrics[id]?.n ?? 0) < (row.seeds?.done ?? 0)),
  );
  return [
    `Held-out figures after the last round (${heldOut} rows), mean ± sample standard deviation over seeds; time of a seed, of local that of a client.`,
    ...localNotes(section),
    ...(unlike
      ? ['(n …): so many of the seeds have a figure; the others’ diverged, is not finite, or was not measured.']
      : []),
    ...(rows.some(({ kind }) => kind === 'pooled')
      ? ['Pooled: all rows in one hand, as many steps as a round’s clients together.']
      : []),
  ];
}

/** What clients alone did, and how many steps that was beside those of a federation's client. */
function localNotes({ experiment: { record, cells } }: Section): string[] {
  const { clients, config } = record;
  const drawn = Math.min(config.perRound ?? clients, clients);
  const has = (kind: CellKind) => cells.some(({ cell }) => cell.kind === kind);
  if (!has('local') && !has('local-every-round')) return [];
  const notes = ['Local: each client alone with its own rows; clients are averaged within a seed, each alike.'];
  if (has('local'))
    notes.push(
      'A client alone takes the optimiser steps that it takes in a federation: it trains in exactly the rounds for which its seed draws it.',
    );
  if (has('local-every-round') && drawn < clients)
    notes.push(
      `In every round: ${drawn} of ${clients} clients are drawn for a round, so that a client of a federation takes on average ${drawn}/${clients} of these steps.`,
    );
  const alone = cells.flatMap(({ cell, result }) => (cell.kind === 'local' && result ? [{ cell, result }] : []));
  const never = alone.filter(
    ({ result }) => result.client_steps.length > 0 && stepsOf(result) + result.kept_rounds === 0,
  );
  if (never.length > 0)
    notes.push(`Never drawn, and so as untuned as it began: ${firstOf(never.map(({ cell }) => cell.name))}.`);
  const more = alone.filter(({ cell, result }) => stepsOf(result) > cell.totalSteps);
  if (more.length > 0)
    notes.push(
      `Took more steps than that, in every round, by an earlier version: ${firstOf(more.map(({ cell }) => cell.name))}.`,
    );
  return notes;
}

/** What diverged or is missing, in sentences; none when everything is done and went well. */
export function missingNotes(section: Section): string[] {
  const { kept, unmeasured } = section;
  const lost = [...kept].sort((a, b) => Number(b.diverged) - Number(a.diverged)).map(keptText);
  return [
    ...lost.slice(0, SHOWN),
    ...(lost.length > SHOWN ? [`Rounds of ${lost.length - SHOWN} more cells kept the model.`] : []),
    ...(unmeasured.length > 0
      ? [
          `Rounds are missing in ${METRICS_FILE} of ${firstOf(unmeasured)}: without them there are no bytes of these seeds, and no whole curve.`,
        ]
      : []),
    ...undoneNotes(section),
  ];
}

/** Cells named before the others are only counted. */
const SHOWN = 8;

function undoneNotes({ experiment, unfinished, notBegun }: Section): string[] {
  const all = experiment.cells.length;
  if (unfinished.length + notBegun.length === 0) return [];
  const done = all - unfinished.length - notBegun.length;
  return [
    `${done} of ${all} cells are done: go on with cotune simulate … --out ${experiment.directory}.`,
    ...(unfinished.length > 0 ? [`Unfinished: ${unfinished.join(', ')}.`] : []),
    ...(notBegun.length > 0 ? [`Not begun: ${firstOf(notBegun)}.`] : []),
  ];
}

/** The first names, and how many more there are: an experiment may have hundreds of cells. */
const firstOf = (names: readonly string[]): string =>
  names.length <= SHOWN ? names.join(', ') : `${names.slice(0, 6).join(', ')} and ${names.length - 6} more`;

/** A section for a terminal. */
export function sectionText(section: Section): string {
  const { heads, body } = tableCells(section, ' *');
  const lines = [heads, ...body];
  const widths = heads.map((_, i) => Math.max(...lines.map((cells) => (cells[i] ?? '').length)));
  const table = lines.map((cells) =>
    cells
      .map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)))
      .join('  ')
      .trimEnd(),
  );
  return [
    `${section.experiment.record.config.name} (${section.experiment.directory})`,
    '',
    ...table,
    '',
    ...(section.rows.some(({ best }) => best.length > 0) ? ['* best of the algorithms and the local mean'] : []),
    ...tableNotes(section),
    ...missingNotes(section),
    '',
    ...comparisonLines(section),
  ].join('\n');
}

/** A section for documents. */
export function sectionMarkdown(section: Section): string {
  const { heads, body } = tableCells(section, ' ◂');
  const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  const bold = (cell: string) => (cell.endsWith(' ◂') ? `**${cell.slice(0, -2)}**` : cell);
  return [
    `## ${section.experiment.record.config.name}`,
    '',
    line(heads),
    line(heads.map((_, i) => (i === 0 ? '---' : '--:'))),
    ...body.map((cells) => line(cells.map(bold))),
    '',
    [...tableNotes(section), ...missingNotes(section)].join(' '),
    '',
    ...comparisonLines(section).map((text) => `- ${text}`),
  ].join('\n');
}

/** A sentence an algorithm; one that says why there is none where no client trains alone. */
export function comparisonLines({ comparisons }: Section): string[] {
  if (comparisons.length === 0) return ['No local baseline: nothing can be said of what federation brings.'];
  return comparisons.map(({ sentence }) => sentence);
}
