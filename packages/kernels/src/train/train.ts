import { ModelError } from '../llama/error.ts';
import type { TokenizedExample } from './batch.ts';
import type { StepOptions } from './optimizer.ts';
import type { StepResult, Trainer } from './trainer.ts';

export interface StepRecord extends StepResult {
  /** Counts from 0. */
  readonly step: number;
  readonly seconds: number;
}

export interface TrainOptions extends StepOptions {
  readonly steps: number;
  readonly batchSize: number;
  /** Steps already taken, e.g. before a checkpoint: training goes on with their rows and dropout masks. Default 0. */
  readonly startStep?: number;
  readonly onStep?: (record: StepRecord) => void;
  /** Stops before the next step; train() then returns what was done. */
  readonly signal?: AbortSignal;
}

export interface TrainResult {
  /** Steps taken by this call; fewer than asked for only when aborted. */
  readonly steps: number;
  /** Mean over the steps; NaN when there was none. */
  readonly lossNats: number;
  readonly labelTokens: number;
  readonly tokens: number;
  readonly seconds: number;
}

/**
 * Runs steps startStep … steps − 1. Step i takes rows i·batchSize, i·batchSize + 1, … of `examples` in the given order,
 * wrapping round at the end: callers shuffle. Throws ModelError 'diverged' when the loss is no longer a finite number.
 */
export async function train(
  trainer: Trainer,
  examples: readonly TokenizedExample[],
  options: TrainOptions,
): Promise<TrainResult> {
  const { steps, batchSize, startStep = 0, onStep, signal, dropoutSeed = 0 } = options;
  if (examples.length === 0) throw new ModelError('bad-labels', 'there are no examples to train on');
  const total = { steps: 0, loss: 0, labelTokens: 0, tokens: 0, seconds: 0 };
  for (let step = startStep; step < steps && !signal?.aborted; step++) {
    const started = performance.now();
    const batch = Array.from({ length: batchSize }, (_, row) => {
      const example = examples[(step * batchSize + row) % examples.length];
      if (!example) throw new RangeError('unreachable: a remainder is below the length');
      return example;
    });
    const result = await trainer.step(batch, { ...options, dropoutSeed: dropoutSeed + step });
    if (!Number.isFinite(result.lossNats) || !Number.isFinite(result.gradNorm)) {
      throw new ModelError(
        'diverged',
        `step ${step + 1}: loss ${result.lossNats}, gradient norm ${result.gradNorm}: lower the learning rate`,
      );
    }
    const seconds = (performance.now() - started) / 1000;
    total.steps += 1;
    total.loss += result.lossNats;
    total.labelTokens += result.labelTokens;
    total.tokens += result.tokens;
    total.seconds += seconds;
    onStep?.({ ...result, step, seconds });
  }
  const { steps: taken, labelTokens, tokens, seconds } = total;
  return { steps: taken, lossNats: total.loss / taken, labelTokens, tokens, seconds };
}
