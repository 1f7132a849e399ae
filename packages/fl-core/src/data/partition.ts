import { z } from 'zod';
import { FlError } from '../error.ts';
import { column, iid, lackingLabel, shards } from './partition-deal.ts';
import { dirichlet, quantity } from './partition-dirichlet.ts';
import type { PartitionInput } from './partition-rows.ts';

const alpha = z.number().positive();

/** How rows are split among simulated clients. */
export const partitionSettings = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('iid') }),
  z.strictObject({ kind: z.literal('dirichlet'), alpha }),
  z.strictObject({ kind: z.literal('shards'), labelsPerClient: z.int().positive() }),
  z.strictObject({ kind: z.literal('quantity'), alpha }),
  z.strictObject({ kind: z.literal('lacking-label') }),
  z.strictObject({ kind: z.literal('column'), column: z.string().min(1) }),
]);
export type PartitionSettings = z.infer<typeof partitionSettings>;
export type PartitionKind = PartitionSettings['kind'];

type SettingsOf<Kind extends PartitionKind> = Extract<PartitionSettings, { kind: Kind }>;

/** Every way to split. To add one: write it in a file of `partition-*.ts`, add its settings above and a line here. */
const SPLITS: { readonly [Kind in PartitionKind]: (input: PartitionInput, settings: SettingsOf<Kind>) => number[][] } =
  {
    iid,
    dirichlet,
    shards,
    quantity,
    'lacking-label': lackingLabel,
    column,
  };

export const PARTITION_KINDS = Object.keys(SPLITS) as PartitionKind[];

/**
 * Splits rows among clients: for each client the indices of its rows, shuffled. A row goes to one client at most, and
 * only `lacking-label` leaves rows out (those of a label that nobody may have). A pure function of its arguments.
 * Throws FlError 'invalid' where a client would get no row, or where the rows cannot be split so.
 */
export function partitionRows(
  settings: PartitionSettings,
  rows: { readonly labels: readonly string[]; readonly column?: readonly string[] | undefined },
  clients: number,
  seed: number | string,
): number[][] {
  if (!Number.isInteger(clients) || clients < 1) {
    throw new FlError('invalid', `partition: got ${clients} clients, expected a whole number from 1`);
  }
  const count = rows.labels.length;
  if (count < clients) {
    throw new FlError('invalid', `partition: ${count} rows for ${clients} clients: give more rows or fewer clients`);
  }
  // The table's line for a kind takes that kind's settings; TypeScript cannot follow the look-up.
  const split = SPLITS[settings.kind] as (input: PartitionInput, settings: PartitionSettings) => number[][];
  const parts = split({ ...rows, clients, seed }, settings);
  const empty = parts.findIndex((part) => part.length === 0);
  if (empty >= 0) {
    throw new FlError(
      'invalid',
      `partition ${settings.kind}: client ${empty} of ${clients} would get no row: take fewer clients, more rows or a milder split`,
    );
  }
  return parts;
}
