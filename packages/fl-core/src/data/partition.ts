import { createRng } from '../rng.ts';

/** Splits data among simulated clients: row indices per client, each row to one client at most; a pure function of its input. */
export type Partition = (input: {
  /** The class of every row. */
  readonly labels: readonly string[];
  readonly clients: number;
  readonly seed: number | string;
}) => number[][];

/** Shuffled and dealt in turn: sizes differ by one at most. */
const iid: Partition = ({ labels, clients, seed }) => {
  const order = createRng(`${seed}/partition`).shuffle(labels.map((_, index) => index));
  return Array.from({ length: clients }, (_, client) => order.filter((_, i) => i % clients === client));
};

/**
 * Client k never sees the k-th label (in sorted order, from the start again when there are more clients); each label's
 * rows are dealt in turn among the clients that may have it. Rows of a label that nobody may have are left out.
 */
const lackingLabel: Partition = ({ labels, clients, seed }) => {
  const order = createRng(`${seed}/partition`).shuffle(labels.map((_, index) => index));
  const classes = [...new Set(labels)].sort();
  const parts = Array.from({ length: clients }, (): number[] => []);
  classes.forEach((label, position) => {
    const allowed = parts.filter((_, client) => client % classes.length !== position);
    const rows = order.filter((index) => labels[index] === label);
    rows.forEach((index, i) => {
      allowed[i % allowed.length]?.push(index);
    });
  });
  const rng = createRng(`${seed}/partition-order`);
  return parts.map((part) => rng.shuffle(part));
};

/** Every way to split. To add one: write it above and add a line. */
export const PARTITIONS = { iid, 'lacking-label': lackingLabel } as const satisfies Readonly<Record<string, Partition>>;

export type PartitionId = keyof typeof PARTITIONS;
