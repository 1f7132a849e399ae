import type { BatchShape } from '../llama/activations.ts';
import { ModelError } from '../llama/error.ts';

/** One tokenised sequence. labels[t] is the token id at t where it is to be learned, −100 where not (never shifted). */
export interface TokenizedExample {
  readonly inputIds: readonly number[] | Uint32Array;
  readonly labels: readonly number[] | Int32Array;
}

/** One micro-batch, padded, as the GPU takes it. */
export interface PaddedBatch {
  readonly shape: BatchShape;
  readonly ids: Uint32Array; // (batch, seq)
  readonly positions: Uint32Array; // (batch, seq)
  readonly segments: Uint32Array; // (batch, seq): 0 for the row's tokens, 1 for padding
  readonly labelIndex: Uint32Array; // (labelRows): the token whose output predicts the label
  readonly labels: Uint32Array; // (labelRows)
  /** The example of every label row, without the padding: (labelTokens). */
  readonly labelExample: readonly number[];
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

/** Throws ModelError 'bad-labels', 'bad-token' or 'too-long', naming the example. */
export function checkExamples(
  examples: readonly TokenizedExample[],
  { vocabSize, maxPositions }: { readonly vocabSize: number; readonly maxPositions: number },
): void {
  examples.forEach(({ inputIds, labels }, row) => {
    if (inputIds.length !== labels.length) {
      throw new ModelError(
        'bad-labels',
        `example ${row}: ${inputIds.length} tokens but ${labels.length} labels, expected as many`,
      );
    }
    if (inputIds.length > maxPositions) {
      throw new ModelError(
        'too-long',
        `example ${row}: ${inputIds.length} tokens, the model takes ${maxPositions}: shorten it`,
      );
    }
    for (let t = 0; t < inputIds.length; t++) {
      const id = inputIds[t] ?? -1;
      const label = labels[t] ?? -100;
      if (Number.isInteger(id) && id >= 0 && id < vocabSize && (label === -100 || (label >= 0 && label < vocabSize)))
        continue;
      throw new ModelError(
        'bad-token',
        `example ${row}, position ${t}: token ${id}, label ${label}, expected 0…${vocabSize - 1} (label −100 for none): ` +
          'was it tokenised for another model?',
      );
    }
  });
}

/** Pads examples into one batch of `batch` rows; rows beyond the examples are padding without labels. */
export function padBatch(examples: readonly TokenizedExample[], batch: number): PaddedBatch {
  const lengths = examples.map(trainedLength);
  const seq = sequenceBucket(Math.max(...lengths));
  const positionsOfLabels: number[] = [];
  const labelsFound: number[] = [];
  const labelExample: number[] = [];
  const ids = new Uint32Array(batch * seq);
  const positions = new Uint32Array(batch * seq);
  const segments = new Uint32Array(batch * seq).fill(1);
  examples.forEach(({ inputIds, labels }, row) => {
    const length = lengths[row] ?? 0;
    for (let t = 0; t < length; t++) {
      const at = row * seq + t;
      ids[at] = inputIds[t] ?? 0;
      positions[at] = t;
      segments[at] = 0;
      const label = labels[t + 1] ?? -100;
      if (label < 0) continue;
      positionsOfLabels.push(at);
      labelsFound.push(label);
      labelExample.push(row);
    }
  });
  const labelRows = labelBucket(labelsFound.length);
  const labelIndex = new Uint32Array(labelRows).fill(NONE);
  const labels = new Uint32Array(labelRows).fill(NONE);
  labelIndex.set(positionsOfLabels);
  labels.set(labelsFound);
  const tokens = lengths.reduce((a, b) => a + b, 0);
  const shape = { batch, seq, labelRows };
  return { shape, ids, positions, segments, labelIndex, labels, labelExample, labelTokens: labelsFound.length, tokens };
}

/**
 * Cuts a batch into equal micro-batches of at most `maxRows(seq)` rows each (the last is filled up with padding rows, so
 * that one recorded program serves all). `maxRows` gets the padded sequence length of the longest example.
 */
export function microBatches(
  examples: readonly TokenizedExample[],
  maxRows: (seq: number) => number,
): readonly (readonly TokenizedExample[])[] {
  const seq = sequenceBucket(Math.max(...examples.map(trainedLength)));
  const count = Math.ceil(examples.length / Math.max(1, maxRows(seq)));
  const rows = Math.ceil(examples.length / count);
  return Array.from({ length: count }, (_, i) => examples.slice(i * rows, (i + 1) * rows)).filter(
    (part) => part.length > 0,
  );
}
