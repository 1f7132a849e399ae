import { FlError } from '../error.ts';
import { createRng } from '../rng.ts';
import { emptyParts, mixed, type PartitionInput, requireClasses, rowsByValue, shuffledRows } from './partition-rows.ts';

/** Shuffled and dealt in turn: sizes differ by one at most. */
export function iid(input: PartitionInput): number[][] {
  const parts = emptyParts(input.clients);
  shuffledRows(input).forEach((row, i) => {
    parts[i % input.clients]?.push(row);
  });
  return parts;
}

/**
 * Client k never sees the k-th label (in sorted order, from the start again when there are more clients); each label's
 * rows are dealt in turn among the clients that may have it. Rows of a label that nobody may have are left out.
 * Throws FlError 'invalid' for labels that are no classes.
 */
export function lackingLabel(input: PartitionInput): number[][] {
  requireClasses('lacking-label', input.labels);
  const parts = emptyParts(input.clients);
  const groups = [...rowsByValue(shuffledRows(input), input.labels).values()];
  groups.forEach((rows, position) => {
    const allowed = parts.filter((_, client) => client % groups.length !== position);
    rows.forEach((row, i) => {
      allowed[i % allowed.length]?.push(row);
    });
  });
  return mixed(parts, input.seed);
}

/**
 * Sort and deal (McMahan et al. 2017, "Communication-Efficient Learning of Deep Networks from Decentralized Data",
 * §3): rows sorted by label are cut into N·k shards, and every client is dealt k of them. There, labels are equally
 * frequent and shards equally long; here a shard never holds two labels, so that a client has k labels at most whatever
 * their frequencies: every label begins as one shard, and the label whose shards are longest is cut once more until
 * there are N·k. Throws FlError 'invalid' when there are more labels than shards, or fewer rows.
 */
export function shards(input: PartitionInput, { labelsPerClient }: { readonly labelsPerClient: number }): number[][] {
  const { labels, clients, seed } = input;
  const wanted = clients * labelsPerClient;
  const groups = [...rowsByValue(shuffledRows(input), labels).values()];
  if (groups.length > wanted || labels.length < wanted) {
    throw new FlError(
      'invalid',
      `partition shards: ${labels.length} rows of ${groups.length} labels do not make ${wanted} shards of one label each ` +
        `(${clients} clients × ${labelsPerClient}): choose labelsPerClient from ${Math.ceil(groups.length / clients)} to ` +
        `${Math.floor(labels.length / clients)}`,
    );
  }
  const cut = groups.map((rows) => ({ rows, shards: 1 }));
  for (let made = groups.length; made < wanted; made++) {
    const longest = cut.reduce((a, b) => (b.rows.length / b.shards > a.rows.length / a.shards ? b : a));
    longest.shards += 1;
  }
  const dealt = createRng(`${seed}/partition-shards`).shuffle(
    cut.flatMap(({ rows, shards: count }) =>
      Array.from({ length: count }, (_, i) =>
        rows.slice(Math.floor((i * rows.length) / count), Math.floor(((i + 1) * rows.length) / count)),
      ),
    ),
  );
  const parts = Array.from({ length: clients }, (_, client) =>
    dealt.slice(client * labelsPerClient, (client + 1) * labelsPerClient).flat(),
  );
  return mixed(parts, seed);
}

/**
 * Rows of one owner stay together: the values of a column are shuffled and dealt to the clients in turn, so that each
 * client stands for one value where there are as many. Throws FlError 'invalid' without the column or with too few values.
 */
export function column(input: PartitionInput, { column: name }: { readonly column: string }): number[][] {
  const { labels, column: values, clients, seed } = input;
  if (values?.length !== labels.length) {
    throw new FlError(
      'invalid',
      `partition column: got ${values?.length ?? 'no'} values of column ${JSON.stringify(name)} for ${labels.length} rows: keep that column when reading the file`,
    );
  }
  const groups = [...rowsByValue(shuffledRows(input), values).values()];
  if (groups.length < clients) {
    throw new FlError(
      'invalid',
      `partition column: ${JSON.stringify(name)} has ${groups.length} different values for ${clients} clients: take ${groups.length} clients at most`,
    );
  }
  const parts = emptyParts(clients);
  createRng(`${seed}/partition-values`)
    .shuffle(groups)
    .forEach((rows, i) => {
      for (const row of rows) parts[i % clients]?.push(row); // too many to spread into one call
    });
  return mixed(parts, seed);
}
