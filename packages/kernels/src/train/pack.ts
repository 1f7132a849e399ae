import {
  fillBatch,
  labelBucket,
  labelCount,
  type PaddedBatch,
  sequenceBucket,
  type TokenizedExample,
  trainedLength,
} from './batch.ts';

// Which examples share a row and which rows a micro-batch. Pure and deterministic: the same examples in the same order are
// always laid out in the same way, because sums of floats depend on it.

export interface PackOptions {
  /** Several examples may share a row. Otherwise each has one of its own, in the given order. */
  readonly packing: boolean;
  /** Most rows of `seq` tokens that a micro-batch may have, at least 1. */
  readonly maxRows: (seq: number) => number;
  /** Whether a longer row than the examples need fits at all; `maxRows` throws where a needed one does not. */
  readonly rowFits?: (seq: number) => boolean;
  /** Examples that must stay in one micro-batch: 2 keeps 2i and 2i + 1 together. Default 1. */
  readonly groupSize?: number;
  /** Row length at which attention costs as much as everything else; keeps rows from growing too long. */
  readonly attentionScale?: number;
}

/** Examples by row. */
type Rows = readonly (readonly number[])[];

/** Micro-batches of one shape, so that one recorded program serves all of a step. */
export interface Layout {
  readonly seq: number;
  readonly rows: number;
  readonly microBatches: readonly Rows[];
}

/** A batch as micro-batches of one shape that share its tokens evenly. Examples without labels take no room. */
export function packBatch(examples: readonly TokenizedExample[], options: PackOptions): PaddedBatch[] {
  const { seq, rows, microBatches } = layOut(examples.map(trainedLength), options);
  const labels = microBatches.map((micro) =>
    micro.flat().reduce((sum, index) => sum + labelCount(examples[index] ?? { inputIds: [], labels: [] }), 0),
  );
  const shape = { batch: rows, seq, labelRows: labelBucket(Math.max(...labels)) };
  return microBatches.map((micro) => fillBatch(examples, micro, shape));
}

/** Rows and micro-batches for examples of these lengths. */
export function layOut(lengths: readonly number[], options: PackOptions): Layout {
  if (!options.packing) return inOrder(lengths, options);
  const { maxRows, rowFits = () => true, attentionScale = Number.POSITIVE_INFINITY } = options;
  const shortest = packedLength(Math.max(1, ...lengths));
  const room = maxRows(shortest) * shortest;
  let best: { readonly layout: Layout; readonly cost: number } | undefined;
  for (let seq = shortest; seq <= 4 * shortest; seq = packedLength(seq + 1)) {
    if (seq > shortest && (!rowFits(seq) || maxRows(seq) * seq > room)) break;
    const layout = packed(lengths, seq, options);
    const cost = layout.microBatches.length * layout.rows * seq * (1 + seq / attentionScale);
    if (!best || cost < best.cost) best = { layout, cost };
  }
  if (!best) throw new RangeError('unreachable: the shortest length is always tried');
  return best.layout;
}

/** Length of packed rows: 8 or 12 times a power of two. Coarse, because other examples fill the room. */
export function packedLength(tokens: number): number {
  let power = 8;
  while (power * 2 < tokens) power *= 2;
  return [power, power * 1.5, power * 2].find((length) => length >= tokens && length % 8 === 0) ?? power * 2;
}

/** An example a row, cut into micro-batches in the given order. */
function inOrder(lengths: readonly number[], { maxRows, groupSize = 1 }: PackOptions): Layout {
  const seq = sequenceBucket(Math.max(1, ...lengths));
  const most = Math.max(groupSize, Math.floor(maxRows(seq) / groupSize) * groupSize);
  const count = Math.ceil(lengths.length / most);
  const rows = Math.ceil(lengths.length / count / groupSize) * groupSize;
  const single = lengths.map((_, index) => [index]);
  const microBatches = Array.from({ length: count }, (_, i) => single.slice(i * rows, (i + 1) * rows));
  return { seq, rows, microBatches: microBatches.filter((micro) => micro.length > 0) };
}

interface OpenRow {
  free: number;
  readonly examples: number[];
}
interface OpenMicroBatch {
  readonly rows: OpenRow[];
  tokens: number;
}

function packed(lengths: readonly number[], seq: number, { maxRows, groupSize = 1 }: PackOptions): Layout {
  const most = Math.max(maxRows(seq), groupSize);
  const groups = groupsOf(lengths, groupSize);
  // As few micro-batches as first-fit needs, then the fewest rows in which these can share the tokens evenly.
  const open: OpenMicroBatch[] = [];
  for (const group of groups) {
    if (open.some((micro) => place(micro, group, lengths))) continue;
    const micro = openMicroBatch(most, seq);
    if (!place(micro, group, lengths)) throw new RangeError(`${group.length} examples of ${seq} tokens need more rows`);
    open.push(micro);
  }
  const used = Math.max(...open.map(({ rows }) => rows.filter(({ examples }) => examples.length > 0).length));
  if (open.length === 1) return close(open, seq, used);
  const total = lengths.reduce((sum, length) => sum + length, 0);
  for (let rows = Math.max(groupSize, Math.ceil(total / open.length / seq)); rows < most; rows++) {
    const even = shareEvenly(groups, lengths, open.length, rows, seq);
    if (even) return close(even, seq, rows);
  }
  return close(shareEvenly(groups, lengths, open.length, most, seq) ?? open, seq, most);
}

/** Groups by their tokens, the most first; equals in the given order. */
function groupsOf(lengths: readonly number[], groupSize: number): readonly (readonly number[])[] {
  const groups = Array.from({ length: Math.ceil(lengths.length / groupSize) }, (_, i) =>
    Array.from({ length: groupSize }, (_, j) => i * groupSize + j).filter((index) => index < lengths.length),
  );
  const tokens = (group: readonly number[]) => group.reduce((sum, index) => sum + (lengths[index] ?? 0), 0);
  return groups.toSorted((a, b) => tokens(b) - tokens(a));
}

/** Each group, the largest first, goes to the micro-batch with the fewest tokens that still has room; null where none has. */
function shareEvenly(groups: Rows, lengths: readonly number[], count: number, rows: number, seq: number) {
  const micros = Array.from({ length: count }, () => openMicroBatch(rows, seq));
  for (const group of groups) {
    const lightest = micros.toSorted((a, b) => a.tokens - b.tokens);
    if (!lightest.some((micro) => place(micro, group, lengths))) return null;
  }
  return micros;
}

function openMicroBatch(rows: number, seq: number): OpenMicroBatch {
  return { rows: Array.from({ length: rows }, () => ({ free: seq, examples: [] })), tokens: 0 };
}

/** Puts each of a group into the fullest row that still has room for it: all or none of them. */
function place(micro: OpenMicroBatch, group: readonly number[], lengths: readonly number[]): boolean {
  const placed: { readonly row: OpenRow; readonly length: number }[] = [];
  for (const index of group.toSorted((a, b) => (lengths[b] ?? 0) - (lengths[a] ?? 0))) {
    const length = lengths[index] ?? 0;
    let fullest: OpenRow | undefined;
    for (const row of micro.rows) if (row.free >= length && (!fullest || row.free < fullest.free)) fullest = row;
    if (!fullest) {
      for (const { row, length: taken } of placed) {
        row.free += taken;
        row.examples.pop();
      }
      return false;
    }
    fullest.free -= length;
    fullest.examples.push(index);
    placed.push({ row: fullest, length });
  }
  micro.tokens += placed.reduce((sum, { length }) => sum + length, 0);
  return true;
}

/** Empty rows go last, where they are cut off or are padding. */
function close(micros: readonly OpenMicroBatch[], seq: number, rows: number): Layout {
  const microBatches = micros.map((micro) =>
    micro.rows.map(({ examples }) => examples).filter((examples) => examples.length > 0),
  );
  return { seq, rows, microBatches };
}

/**
 * Rows for one evaluation micro-batch from the front of `lengths`, which must fall: each example that still fits is taken,
 * and `taken` is marked. Rows are as long as the longest asks.
 */
export function fillFromFront(
  lengths: readonly number[],
  taken: boolean[],
  { packing, maxRows }: Pick<PackOptions, 'packing' | 'maxRows'>,
): { readonly seq: number; readonly rows: readonly (readonly number[])[] } {
  const first = taken.indexOf(false);
  const longest = Math.max(1, lengths[first] ?? 0);
  const seq = packing ? packedLength(longest) : sequenceBucket(longest);
  const micro = openMicroBatch(maxRows(seq), packing ? seq : longest);
  let free = maxRows(seq) * seq;
  for (let i = first; i < lengths.length && free > 0; i++) {
    const length = lengths[i] ?? 0;
    const rows = packing ? micro : { ...micro, rows: micro.rows.filter(({ examples }) => examples.length === 0) };
    if (taken[i] || !place(rows, [i], lengths)) continue;
    taken[i] = true;
    free -= packing ? length : seq;
  }
  return { seq, rows: close([micro], seq, 0).microBatches[0] ?? [] };
}
