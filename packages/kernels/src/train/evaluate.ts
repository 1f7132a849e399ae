import type { Readback } from '../gpu/readback.ts';
import { fillBatch, labelBucket, labelCount, type TokenizedExample, trainedLength } from './batch.ts';
import { fillFromFront, type PackOptions } from './pack.ts';
import type { Programs } from './programs.ts';

export interface Evaluation {
  /** Mean per label token. */
  readonly lossNats: number;
  readonly labelTokens: number;
  /** Share of rows whose every label token is the argmax, given the true tokens before it. */
  readonly exactMatch: number;
  /** Rows with at least one label token; the others say nothing. */
  readonly rows: number;
}

/** What the adapted model gives the labels of one sequence. */
export interface SequenceScore {
  /** log π(labels | what is before them): the sum over the label tokens in nats, ≤ 0, not divided by their number. */
  readonly logProb: number;
  /** Those summed over; 0 where the sequence has none, and then nothing was run. */
  readonly labelTokens: number;
  /** Whether every label token is the argmax, given the true tokens before it. */
  readonly exact: boolean;
}

export interface EvaluateOptions {
  readonly onProgress?: (progress: { readonly rows: number; readonly totalRows: number }) => void;
}

interface Engine extends Pick<PackOptions, 'packing' | 'maxRows'> {
  readonly programs: Programs;
  readonly readback: Readback;
}

/** Loss and hits of the labelled positions, without dropout. NaN figures when no example has a label. */
export async function evaluateExamples(
  engine: Engine,
  examples: readonly TokenizedExample[],
  options: EvaluateOptions,
): Promise<Evaluation> {
  let loss = 0;
  let labelTokens = 0;
  let exact = 0;
  let rows = 0;
  await visitLabels(engine, examples, options, ({ losses, missed, indices }) => {
    for (const nats of losses) loss += nats;
    labelTokens += losses.length;
    exact += indices.length - missed.size;
    rows += indices.length;
  });
  return { lossNats: loss / labelTokens, labelTokens, exactMatch: exact / rows, rows };
}

/** A score for each example in the given order, without dropout. */
export async function scoreExamples(
  engine: Engine,
  examples: readonly TokenizedExample[],
  options: EvaluateOptions,
): Promise<SequenceScore[]> {
  const sums = new Float64Array(examples.length);
  const exact = examples.map(() => true);
  await visitLabels(engine, examples, options, ({ losses, labelExample, missed, indices }) => {
    losses.forEach((nats, i) => {
      const index = indices[labelExample[i] ?? -1] ?? -1;
      sums[index] = (sums[index] ?? 0) - nats;
    });
    for (const place of missed) exact[indices[place] ?? -1] = false;
  });
  return examples.map((example, i) => {
    const labelTokens = labelCount(example);
    return { logProb: sums[i] ?? 0, labelTokens, exact: labelTokens > 0 && exact[i] === true };
  });
}

/** One micro-batch's outcome. */
interface Labels {
  /** Of every label token, nats. */
  readonly losses: Float32Array;
  /** The example of every label token, as a place in `indices`. */
  readonly labelExample: readonly number[];
  /** Places in `indices` of examples with a label token that is not the argmax. */
  readonly missed: ReadonlySet<number>;
  /** The examples of this micro-batch, as indices into all. */
  readonly indices: readonly number[];
}

/** Runs the labelled examples in micro-batches, longest first: rows of like length pad least. */
async function visitLabels(
  { programs, readback, ...packing }: Engine,
  examples: readonly TokenizedExample[],
  { onProgress }: EvaluateOptions,
  visit: (labels: Labels) => void,
): Promise<void> {
  const order = examples
    .map((example, index) => ({ example, index, length: trainedLength(example) }))
    .filter(({ example }) => labelCount(example) > 0)
    .toSorted((a, b) => b.length - a.length);
  const sorted = order.map(({ example }) => example);
  const lengths = order.map(({ length }) => length);
  const taken = sorted.map(() => false);
  let done = 0;
  while (done < sorted.length) {
    const { seq, rows } = fillFromFront(lengths, taken, packing);
    const labels = rows
      .flat()
      .reduce((sum, index) => sum + labelCount(sorted[index] ?? { inputIds: [], labels: [] }), 0);
    const batch = fillBatch(sorted, rows, { batch: rows.length, seq, labelRows: labelBucket(labels) });
    const acts = await programs.run('evaluate', batch);
    readback.copy(acts.loss, batch.labelTokens);
    readback.copy(acts.correct, batch.labelTokens);
    const bytes = await readback.read();
    const losses = new Float32Array(bytes, 0, batch.labelTokens);
    const correct = new Uint32Array(bytes, batch.labelTokens * 4);
    const { labelExample } = batch;
    const missed = new Set(labelExample.filter((_, i) => correct[i] === 0));
    visit({ losses, labelExample, missed, indices: batch.examples.map((place) => order[place]?.index ?? -1) });
    done += batch.examples.length;
    onProgress?.({ rows: done, totalRows: sorted.length });
  }
}
