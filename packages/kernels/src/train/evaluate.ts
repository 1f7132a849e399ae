import type { Readback } from '../gpu/readback.ts';
import { ModelError } from '../llama/error.ts';
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

/** Another token in the place of inputIds[at], asked about in the same pass: 1 ≤ at ≤ the place of the last label. */
export interface Probe {
  readonly at: number;
  readonly token: number;
}

export interface ScoredExample extends TokenizedExample {
  readonly probes?: readonly Probe[];
}

/** What the adapted model gives the labels of one sequence. */
export interface SequenceScore {
  /** log π(labels | what is before them): the sum over the label tokens in nats, ≤ 0, not divided by their number. */
  readonly logProb: number;
  /** Of every label token, in order; none where the sequence has no label, and then nothing was run. */
  readonly tokenLogProbs: readonly number[];
  /** Of every probe, given the true tokens before it. */
  readonly probeLogProbs: readonly number[];
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
  examples: readonly ScoredExample[],
  options: EvaluateOptions,
): Promise<SequenceScore[]> {
  const scores = examples.map(() => ({ tokenLogProbs: [] as number[], probeLogProbs: [] as number[], exact: false }));
  await visitLabels(engine, examples, options, ({ losses, labelExample, missed, indices, probes }) => {
    losses.forEach((nats, i) => {
      scores[indices[labelExample[i] ?? -1] ?? -1]?.tokenLogProbs.push(-nats);
    });
    for (const { index, nats } of probes) scores[index]?.probeLogProbs.push(-nats);
    indices.forEach((index, place) => {
      const score = scores[index];
      if (score) score.exact = !missed.has(place);
    });
  });
  return scores.map((score) => ({ ...score, logProb: score.tokenLogProbs.reduce((sum, one) => sum + one, 0) }));
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
  /** Of every probe, with its example as an index into all; those of one example in order. */
  readonly probes: readonly { readonly index: number; readonly nats: number }[];
}

/** Runs the labelled examples in micro-batches, longest first: rows of like length pad least. */
async function visitLabels(
  { programs, readback, ...packing }: Engine,
  examples: readonly ScoredExample[],
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
    const asked = probesOf(sorted, rows, seq);
    const labelRows = labelBucket(labels + asked.length);
    const batch = fillBatch(sorted, rows, { batch: rows.length, seq, labelRows });
    asked.forEach(({ position, token }, i) => {
      batch.labelIndex[labels + i] = position;
      batch.labels[labels + i] = token;
    });
    const acts = await programs.run('evaluate', batch);
    readback.copy(acts.loss, labels + asked.length);
    readback.copy(acts.correct, labels);
    const bytes = await readback.read();
    const nats = new Float32Array(bytes, 0, labels + asked.length);
    const correct = new Uint32Array(bytes, nats.byteLength);
    const { labelExample } = batch;
    const indexOf = (place: number): number => order[place]?.index ?? -1;
    visit({
      losses: nats.subarray(0, labels),
      labelExample,
      missed: new Set(labelExample.filter((_, i) => correct[i] === 0)),
      indices: batch.examples.map(indexOf),
      probes: asked.map(({ place }, i) => ({ index: indexOf(place), nats: nats[labels + i] ?? Number.NaN })),
    });
    done += batch.examples.length;
    onProgress?.({ rows: done, totalRows: sorted.length });
  }
}

/** The probes of a micro-batch: which position's output is asked about which token, and for which of `examples`. */
function probesOf(examples: readonly ScoredExample[], rows: readonly (readonly number[])[], seq: number) {
  return rows.flatMap((members, row) => {
    let start = row * seq;
    return members.flatMap((place) => {
      const example = examples[place] ?? { inputIds: [], labels: [] };
      const first = start;
      start += trainedLength(example);
      return (example.probes ?? []).map(({ at, token }) => ({ place, token, position: first + at - 1 }));
    });
  });
}

/** Throws ModelError 'bad-labels', naming the example. */
export function checkProbes(examples: readonly ScoredExample[], { vocabSize }: { readonly vocabSize: number }): void {
  examples.forEach((example, row) => {
    for (const { at, token } of example.probes ?? []) {
      const last = trainedLength(example);
      const placed = Number.isInteger(at) && at >= 1 && at <= last;
      if (placed && Number.isInteger(token) && token >= 0 && token < vocabSize) continue;
      throw new ModelError(
        'bad-labels',
        `example ${row}: probe of token ${token} at ${at}, expected one of 0…${vocabSize - 1} at 1…${last}`,
      );
    }
  });
}
