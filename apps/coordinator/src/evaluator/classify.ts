import { classificationMetrics, type HeldOutMetrics } from '@cotune/fl-core';
import type { SequenceScore, TokenizedExample, Trainer } from '@cotune/kernels';
import type { ClassRow, ClassSet } from './class-set.ts';

/** Nats by which rounding may move a log-likelihood between two passes. */
const ROUNDING = 1e-3;

/**
 * Predicts each row's class: that of the highest log-likelihood, the sum over the tokens of the response and of the end of the
 * sequence, not divided by their number; of equals the first. `scores` are those of `withProbes`.
 *
 * A sum only falls with every further token, so a class is not scored in full where what it has at the token by which it parts
 * from the right answer, which the pass over that answer told, is already below the best class in full.
 */
export async function classMetrics(
  trainer: Pick<Trainer, 'sequenceScores'>,
  { names, rows }: ClassSet,
  scores: readonly SequenceScore[],
): Promise<NonNullable<HeldOutMetrics['classes']>> {
  const contests = rows.map((row) => contestOf(row, scores[row.example]));
  for (;;) {
    const wave = contests.flatMap((contest) => {
      const next = contest.open.shift();
      if (next === undefined || next.bound + ROUNDING < contest.best) {
        contest.open.length = 0;
        return [];
      }
      return [{ contest, ...next }];
    });
    if (wave.length === 0) break;
    const results = await trainer.sequenceScores(wave.map(({ example }) => example));
    wave.forEach(({ contest, index }, i) => {
      enter(contest, index, results[i]?.logProb);
    });
  }
  const truth = rows.map((row) => row.truth);
  const predicted = contests.map(({ leader }) => leader);
  return { count: names.length, ...classificationMetrics(truth, predicted) };
}

/** Labels before position `end` that are predicted; the first position is not. */
const labelCount = ({ labels }: TokenizedExample, end: number): number =>
  Array.from(labels).filter((label, t) => t > 0 && t < end && label >= 0).length;

/** Classes of one row compared so far. */
interface Contest {
  leader: number;
  best: number;
  /** Not scored yet, the most promising first. */
  readonly open: { readonly index: number; readonly bound: number; readonly example: TokenizedExample }[];
}

function contestOf({ truth, candidates }: ClassRow, score: SequenceScore | undefined): Contest {
  const contest: Contest = { leader: truth, best: Number.NEGATIVE_INFINITY, open: [] };
  if (!score) throw new RangeError('unreachable: every held-out example has a score');
  enter(contest, truth, score.logProb);
  let asked = 0;
  candidates.forEach(({ example, parting }, index) => {
    if (index === truth) return;
    let bound = 0;
    if (parting !== null) {
      const shared = score.tokenLogProbs.slice(0, labelCount(example, parting.at));
      bound = shared.reduce((sum, one) => sum + one, score.probeLogProbs[asked++] ?? 0);
    }
    contest.open.push({ index, example, bound: Number.isNaN(bound) ? 0 : bound });
  });
  contest.open.sort((a, b) => b.bound - a.bound || a.index - b.index);
  return contest;
}

/** A diverged model's NaN wins nothing; then the first class leads. */
function enter(contest: Contest, index: number, logProb = Number.NaN): void {
  const value = Number.isNaN(logProb) ? Number.NEGATIVE_INFINITY : logProb;
  if (value < contest.best || (value === contest.best && index > contest.leader)) return;
  contest.best = value;
  contest.leader = index;
}
