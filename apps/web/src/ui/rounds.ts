import type { HeldOutMetrics, Rewards, RoundSummary, RunView } from '@cotune/fl-core/protocol';

/** Rounds that are over; the last one of `run.rounds` may still be in progress. */
export function publishedRounds(run: RunView): readonly RoundSummary[] {
  return run.rounds.filter(({ phase }) => phase === 'published');
}

/** Every evaluation of a run, that of the untuned model first. */
export function evaluations(run: RunView): readonly HeldOutMetrics[] {
  return [run.baseline, ...run.rounds.map(({ evaluation }) => evaluation)].filter((metrics) => metrics !== null);
}

const mean = (values: readonly number[]): number | null =>
  values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0) / values.length;

/** Mean training loss of those who sent an update; null where nobody told it. */
export function trainingLoss({ received }: RoundSummary): number | null {
  return mean(received.flatMap(({ lossNats }) => (lossNats === null ? [] : [lossNats])));
}

/** Means of the rewards that participants met in training; null in rounds without preference pairs. */
export function trainingRewards({ received }: RoundSummary): Rewards | null {
  const rewards = received.flatMap((update) => update.rewards ?? []);
  const accuracy = mean(rewards.map((one) => one.accuracy));
  const margin = mean(rewards.map((one) => one.margin));
  return accuracy === null || margin === null ? null : { accuracy, margin };
}

/** What a participant's rewards were in the last round that it trained on pairs, or null. */
export function lastRewards(run: RunView, participantId: string): Rewards | null {
  const own = run.rounds.flatMap(({ received }) => received.filter((update) => update.participantId === participantId));
  return own.findLast(({ rewards }) => rewards !== undefined)?.rewards ?? null;
}

/** Which figures a run has, so that nothing is shown of those that it lacks. */
export function figuresOf(run: RunView): {
  /** The run is evaluated on held-out rows, or has been. */
  readonly heldOut: boolean;
  readonly classes: boolean;
  readonly heldOutRewards: boolean;
  readonly trainingRewards: boolean;
} {
  const evaluated = evaluations(run);
  return {
    heldOut: run.config.evaluationId !== undefined || evaluated.length > 0,
    classes: evaluated.some(({ classes }) => classes !== undefined),
    heldOutRewards: evaluated.some(({ rewards }) => rewards !== undefined),
    trainingRewards: run.rounds.some((round) => trainingRewards(round) !== null),
  };
}
