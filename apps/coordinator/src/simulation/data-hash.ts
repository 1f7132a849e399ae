import { createHash } from 'node:crypto';
import type { TrainingData } from '@cotune/fl-core';
import type { TokenizedExample } from '@cotune/kernels';
import type { HeldOutSet } from '../evaluator/measure.ts';
import type { ExperimentData } from './data.ts';

/**
 * Of all tokens and of what rows are dealt by, so that other data under the same name are noticed. Row by row: the tokens of
 * an experiment are more than one string can hold. `clients` are the sources' own.
 */
export function dataHash(
  { train, sources, heldOut }: Pick<ExperimentData, 'train' | 'sources' | 'heldOut'>,
  clients: readonly (number | undefined)[],
): string {
  const hash = createHash('sha256');
  const line = (value: unknown) => hash.update(`${JSON.stringify(value)}\n`);
  for (const row of rowsOf(train)) line(row);
  for (const [i, { first, labels, column }] of sources.entries()) {
    line({ source: i, first, clients: clients[i] ?? null, dealtByColumn: column !== undefined });
    for (const [row, label] of labels.entries()) line([label, column?.[row] ?? null]);
  }
  line({ heldOut: heldOut?.task ?? null });
  if (heldOut) {
    for (const row of rowsOf(heldOut)) line(row);
    line(heldOut.task === 'dpo' ? { beta: heldOut.beta } : { classes: heldOut.classes?.names ?? null });
    for (const { example, truth } of (heldOut.task === 'sft' && heldOut.classes?.rows) || []) line([example, truth]);
  }
  return hash.digest('hex');
}

function* rowsOf(data: TrainingData | HeldOutSet): Generator<unknown> {
  if (data.task === 'sft') for (const example of data.examples) yield tokens(example);
  else for (const { chosen, rejected } of data.pairs) yield [tokens(chosen), tokens(rejected)];
}

const tokens = ({ inputIds, labels }: TokenizedExample) => [Array.from(inputIds), Array.from(labels)];
