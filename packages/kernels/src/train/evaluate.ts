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

export interface EvaluateOptions {
  readonly onProgress?: (progress: { readonly rows: number; readonly totalRows: number }) => void;
}

interface Engine extends Pick<PackOptions, 'packing' | 'maxRows'> {
  readonly programs: Programs;
  readonly readback: Readback;
}

/** Loss and hits of the labelled positions, without dropout. NaN figures when no example has a label. */
export async function evaluateExamples(
  { programs, readback, ...packing }: Engine,
  examples: readonly TokenizedExample[],
  { onProgress }: EvaluateOptions,
): Promise<Evaluation> {
  const labelled = examples.filter((example) => labelCount(example) > 0);
  const sorted = labelled.toSorted((a, b) => trainedLength(b) - trainedLength(a)); // rows of like length pad least
  const lengths = sorted.map(trainedLength);
  const taken = sorted.map(() => false);
  let loss = 0;
  let labelTokens = 0;
  let exact = 0;
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
    const missed = new Set<number>();
    losses.forEach((nats, i) => {
      loss += nats;
      if (correct[i] === 0) missed.add(batch.labelExample[i] ?? -1);
    });
    labelTokens += batch.labelTokens;
    exact += batch.examples.length - missed.size;
    done += batch.examples.length;
    onProgress?.({ rows: done, totalRows: sorted.length });
  }
  return { lossNats: loss / labelTokens, labelTokens, exactMatch: exact / done, rows: done };
}
