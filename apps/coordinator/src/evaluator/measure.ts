import { FlError, type HeldOutMetrics, type Tokenizer } from '@cotune/fl-core';
import type { PreferencePair, TokenizedExample, Trainer } from '@cotune/kernels';
import { type TaskRows, type TokeniseConfig, tokeniseTraining } from '../participant/training-data.ts';

/** Held-out rows as a model takes them. */
export type HeldOutSet =
  | { readonly task: 'sft'; readonly examples: readonly TokenizedExample[] }
  | { readonly task: 'dpo'; readonly pairs: readonly PreferencePair[]; readonly beta: number };

/** Tokenised as participants tokenise theirs. Throws FlError 'invalid' when nothing is usable. */
export function heldOutSet(rows: TaskRows, config: TokeniseConfig, tokenizer: Tokenizer): HeldOutSet {
  const { data, rejected } = tokeniseTraining(rows, config, tokenizer);
  if (data.task === 'dpo' && data.pairs.length > 0) return { ...data, beta: config.dpo.beta };
  if (data.task === 'sft' && data.examples.length > 0) return data;
  const [first] = rejected;
  const reason = first ? ` (line ${first.line} ${first.reason})` : '';
  throw new FlError('invalid', `the held-out data have no usable row${reason}`);
}

/** Measures the trainer's adapter. A diverged adapter's figures may be NaN. */
export async function measure(trainer: Trainer, set: HeldOutSet): Promise<HeldOutMetrics> {
  if (set.task === 'sft') {
    const { lossNats, exactMatch, rows, labelTokens } = await trainer.evaluate(set.examples);
    return { lossNats, accuracy: exactMatch, rows, labelTokens };
  }
  const { pairs, beta } = set;
  const { lossNats, rewardAccuracy, rewardMargin, chosenReward, rejectedReward } = await trainer.evaluatePairs(pairs, {
    beta,
  });
  const rewards = { accuracy: rewardAccuracy, margin: rewardMargin, chosen: chosenReward, rejected: rejectedReward };
  return { lossNats, accuracy: rewardAccuracy, rows: pairs.length, labelTokens: labelTokensOf(pairs), rewards };
}

/** Labelled tokens of both answers; the first position is never predicted. */
function labelTokensOf(pairs: readonly PreferencePair[]): number {
  const count = ({ labels }: TokenizedExample) => Array.from(labels).filter((label, t) => t > 0 && label >= 0).length;
  return pairs.reduce((sum, { chosen, rejected }) => sum + count(chosen) + count(rejected), 0);
}
