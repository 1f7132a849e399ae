import type { Readback } from '../gpu/readback.ts';
import { labelCount, padBatch, sequenceBucket, type TokenizedExample, trainedLength } from './batch.ts';
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

interface Engine {
  readonly programs: Programs;
  readonly readback: Readback;
  readonly maxRows: (seq: number) => number;
}

/** Loss and hits of the labelled positions, without dropout. NaN figures when no example has a label. */
export async function evaluateExamples(
  { programs, readback, maxRows }: Engine,
  examples: readonly TokenizedExample[],
  { onProgress }: EvaluateOptions,
): Promise<Evaluation> {
  const labelled = examples.filter((example) => labelCount(example) > 0);
  const sorted = labelled.toSorted((a, b) => trainedLength(b) - trainedLength(a)); // rows of like length pad least
  let loss = 0;
  let labelTokens = 0;
  let exact = 0;
  let rows = 0;
  for (let first = sorted[0]; first; first = sorted[rows]) {
    const part = sorted.slice(rows, rows + maxRows(sequenceBucket(trainedLength(first))));
    const batch = padBatch(part, part.length);
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
    exact += part.length - missed.size;
    rows += part.length;
    onProgress?.({ rows, totalRows: sorted.length });
  }
  return { lossNats: loss / labelTokens, labelTokens, exactMatch: exact / rows, rows };
}
