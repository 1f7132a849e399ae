import { ModelError } from '../llama/error.ts';
import type { BatchShape } from '../llama/plan-capacity.ts';

/** One tokenised sequence. labels[t] is the token id at t where it is to be learned, −100 where not (never shifted). */
export interface TokenizedExample {
  readonly inputIds: readonly number[] | Uint32Array;
  readonly labels: readonly number[] | Int32Array;
}

/** One micro-batch as the GPU takes it: rows of one length, each of one or several examples and padding at the end. */
export interface PaddedBatch {
  readonly shape: BatchShape;
  readonly ids: Uint32Array; // (batch, seq)
  readonly positions: Uint32Array; // (batch, seq): from 0 in every example
  readonly segments: Uint32Array; // (batch, seq): an example's place in its row; padding has a segment of its own
  readonly labelIndex: Uint32Array; // (labelRows): the token whose output predicts the label
  readonly labels: Uint32Array; // (labelRows)
  /** The example of every label row, without the padding, as an index into `examples`: (labelTokens). */
  readonly labelExample: readonly number[];
  /** The micro-batch's examples, as indices into the batch that it is a part of, ascending. */
  readonly examples: readonly number[];
  readonly labelTokens: number;
  /** Tokens that are no padding. */
  readonly tokens: number;
}

/** Marks a row of labelIndex or labels that is padding. */
const NONE = 0xffffffff;

/** Padded sequence length: a multiple of 8 up to 64, of 32 above. */
export function sequenceBucket(tokens: number): number {
  const step = tokens <= 64 ? 8 : 32;
  return Math.max(1, Math.ceil(tokens / step)) * step;
}

/** Padded number of label rows: a multiple of 16 up to 64; above, four sizes an octave, so at most a quarter is padding. */
export function labelBucket(labels: number): number {
  const step = labels <= 64 ? 16 : 2 ** Math.floor(Math.log2(labels - 1)) / 4;
  return Math.max(1, Math.ceil(labels / step)) * step;
}

/**
 * Tokens of an example that its loss depends on: what follows the position that predicts the last label is never
 * looked at under a causal mask, so it need not be run. 0 when nothing is labelled.
 */
export function trainedLength({ inputIds, labels }: TokenizedExample): number {
  for (let t = Math.min(inputIds.length, labels.length) - 1; t > 0; t--) if ((labels[t] ?? -100) >= 0) return t;
  return 0;
}

/** Labels that count: every labelled position but the first, which nothing predicts. */
export function labelCount({ labels }: TokenizedExample): number {
  let count = 0;
  for (let t = 1; t < labels.length; t++) if ((labels[t] ?? -100) >= 0) count += 1;
  return count;
}

/** Throws ModelError 'bad-labels', 'bad-token' or 'too-long', naming the example as `nameOf` does. */
export function checkExamples(
  examples: readonly TokenizedExample[],
  { vocabSize, maxPositions }: { readonly vocabSize: number; readonly maxPositions: number },
  nameOf = (row: number): string => `example ${row}`,
): void {
  examples.forEach(({ inputIds, labels }, row) => {
    if (inputIds.length !== labels.length) {
      throw new ModelError(
        'bad-labels',
        `${nameOf(row)}: ${inputIds.length} tokens but ${labels.length} labels, expected as many`,
      );
    }
    if (inputIds.length > maxPositions) {
      throw new ModelError(
        'too-long',
        `${nameOf(row)}: ${inputIds.length} tokens, the model takes ${maxPositions}: shorten it`,
      );
    }
    for (let t = 0; t < inputIds.length; t++) {
      const id = inputIds[t] ?? -1;
      const label = labels[t] ?? -100;
      if (Number.isInteger(id) && id >= 0 && id < vocabSize && (label === -100 || (label >= 0 && label < vocabSize)))
        continue;
      throw new ModelError(
        'bad-token',
        `${nameOf(row)}, position ${t}: token ${id}, label ${label}, expected 0…${vocabSize - 1} (label −100 for none): ` +
          'was it tokenised for another model?',
      );
    }
  });
}

/** Pads examples into one batch of `batch` rows; rows beyond the examples are padding without labels. */
export function padBatch(examples: readonly TokenizedExample[], batch: number): PaddedBatch {
  const seq = sequenceBucket(Math.max(...examples.map(trainedLength)));
  const labelRows = labelBucket(examples.reduce((sum, example) => sum + labelCount(example), 0));
  const rows = examples.map((_, row) => [row]);
  return fillBatch(examples, rows, { batch, seq, labelRows });
}

/**
 * Lays out the examples that `rows` names row by row, one behind the other: row r holds those of rows[r], of which the
 * trained lengths together are at most shape.seq. Rows beyond these are padding.
 */
export function fillBatch(
  all: readonly TokenizedExample[],
  rows: readonly (readonly number[])[],
  shape: BatchShape,
): PaddedBatch {
  const { batch, seq, labelRows } = shape;
  const examples = rows.flat().toSorted((a, b) => a - b);
  const placeOf = new Map(examples.map((example, place) => [example, place]));
  const ids = new Uint32Array(batch * seq);
  const positions = new Uint32Array(batch * seq);
  const segments = new Uint32Array(batch * seq);
  const labelIndex = new Uint32Array(labelRows).fill(NONE);
  const labels = new Uint32Array(labelRows).fill(NONE);
  const labelExample: number[] = [];
  let tokens = 0;
  for (let row = 0; row < batch; row++) {
    const members = rows[row] ?? [];
    let at = row * seq;
    for (const [segment, index] of members.entries()) {
      const example = all[index];
      if (!example) throw new RangeError(`example ${index} of ${all.length}`);
      const length = trainedLength(example);
      for (let t = 0; t < length; t++, at++) {
        ids[at] = example.inputIds[t] ?? 0;
        positions[at] = t;
        segments[at] = segment;
        const label = example.labels[t + 1] ?? -100;
        if (label < 0) continue;
        labelIndex[labelExample.length] = at;
        labels[labelExample.length] = label;
        labelExample.push(placeOf.get(index) ?? 0);
      }
      tokens += length;
    }
    segments.fill(members.length, at, (row + 1) * seq);
  }
  const labelTokens = labelExample.length;
  return { shape, ids, positions, segments, labelIndex, labels, labelExample, examples, labelTokens, tokens };
}
