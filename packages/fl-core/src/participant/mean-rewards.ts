import type { Rewards } from '../protocol/schema.ts';

/** Means of finite rewards over the steps of a round; `mean` is undefined before the first. */
export interface MeanRewards {
  add(rewards: Rewards | undefined): void;
  mean(): Rewards | undefined;
}

export function meanRewards(): MeanRewards {
  let steps = 0;
  let accuracy = 0;
  let margin = 0;
  return {
    add(rewards) {
      if (rewards === undefined || !Number.isFinite(rewards.accuracy) || !Number.isFinite(rewards.margin)) return;
      steps++;
      accuracy += rewards.accuracy;
      margin += rewards.margin;
    },
    // A share of rounding error above 1 would be refused.
    mean: () => (steps === 0 ? undefined : { accuracy: Math.min(1, accuracy / steps), margin: margin / steps }),
  };
}
