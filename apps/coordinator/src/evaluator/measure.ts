import {
  FlError,
  type HeldOutMetrics,
  type RunConfig,
  type TaskRows,
  type TokeniseConfig,
  type Tokenizer,
  tokeniseTraining,
} from '@cotune/fl-core';
import type { PreferencePair, TokenizedExample, Trainer } from '@cotune/kernels';
import { type ClassSet, classSet, withProbes } from './class-set.ts';
import { classMetrics } from './classify.ts';

/** Held-out rows as a model takes them. */
export type HeldOutSet =
  | {
      readonly task: 'sft';
      readonly examples: readonly TokenizedExample[];
      /** Where the rows are a classification. */
      readonly classes?: ClassSet | undefined;
    }
  | { readonly task: 'dpo'; readonly pairs: readonly PreferencePair[]; readonly beta: number };

/** Tokenised as participants tokenise theirs. Throws FlError 'invalid' when nothing is usable. */
export function heldOutSet(
  given: TaskRows,
  config: TokeniseConfig & Pick<RunConfig, 'dpo'>,
  tokenizer: Tokenizer,
): HeldOutSet {
  const { data, kept, rejected } = tokeniseTraining(given, config, tokenizer);
  if (data.task === 'dpo' && data.pairs.length > 0) return { ...data, beta: config.dpo.beta };
  if (data.task === 'sft' && kept.task === 'sft' && data.examples.length > 0) {
    return { ...data, classes: classSet(kept.rows, data.examples, config, tokenizer) };
  }
  const [first] = rejected;
  const reason = first ? ` (line ${first.line} ${first.reason})` : '';
  throw new FlError('invalid', `the held-out data have no usable row${reason}`);
}

/**
 * Measures the trainer's adapter: loss and answers that are exactly right, where the rows are a classification also how often
 * the right class is the likeliest (see ClassSet), and rewards of preference pairs. A diverged adapter's figures may be NaN.
 */
export async function measure(trainer: Trainer, set: HeldOutSet): Promise<HeldOutMetrics> {
  if (set.task === 'dpo') return measurePairs(trainer, set);
  const { examples, classes } = set;
  if (!classes) {
    const { lossNats, exactMatch, rows, labelTokens } = await trainer.evaluate(examples);
    return { lossNats, accuracy: exactMatch, rows, labelTokens };
  }
  const scores = await trainer.sequenceScores(withProbes(examples, classes));
  const labelTokens = scores.reduce((sum, { tokenLogProbs }) => sum + tokenLogProbs.length, 0);
  return {
    lossNats: -scores.reduce((sum, { logProb }) => sum + logProb, 0) / labelTokens,
    accuracy: scores.filter(({ exact }) => exact).length / scores.length,
    rows: scores.length,
    labelTokens,
    classes: await classMetrics(trainer, classes, scores),
  };
}

/** `lossNats` is the mean over the pairs; `labelTokens` those of both answers. */
async function measurePairs(
  trainer: Trainer,
  { pairs, beta }: HeldOutSet & { readonly task: 'dpo' },
): Promise<HeldOutMetrics> {
  const result = await trainer.evaluatePairs(pairs, { beta });
  const { lossNats, rewardAccuracy: accuracy, rewardMargin: margin, chosenReward, rejectedReward } = result;
  const rewards = { accuracy, margin, chosen: chosenReward, rejected: rejectedReward };
  return { lossNats, accuracy, rows: pairs.length, labelTokens: labelTokensOf(pairs), rewards };
}

/** The first position of a sequence is never predicted. */
function labelTokensOf(pairs: readonly PreferencePair[]): number {
  const count = ({ labels }: TokenizedExample) => Array.from(labels).filter((label, t) => t > 0 && label >= 0).length;
  return pairs.reduce((sum, { chosen, rejected }) => sum + count(chosen) + count(rejected), 0);
}
