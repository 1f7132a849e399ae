import { ModelError } from '../llama/error.ts';
import type { PairOptions, PairStepResult, PairTraining, PreferencePair } from './dpo.ts';
import type { StepOptions } from './optimizer.ts';

export interface PairStepRecord extends PairStepResult {
  /** Counts from 0. */
  readonly step: number;
  readonly seconds: number;
}

export interface TrainPairsOptions extends StepOptions, PairOptions {
  readonly steps: number;
  /** Pairs a step. */
  readonly batchSize: number;
  /** Steps already taken, e.g. before a checkpoint. Default 0. */
  readonly startStep?: number;
  readonly onStep?: (record: PairStepRecord) => void;
  /** Stops before the next step. */
  readonly signal?: AbortSignal;
}

/**
 * `train` for preference pairs: step i takes pairs i·batchSize, i·batchSize + 1, … in the given order, wrapping round.
 * Returns the steps taken. Throws ModelError 'diverged' when the loss is no longer a finite number.
 */
export async function trainPairs(
  trainer: PairTraining,
  pairs: readonly PreferencePair[],
  options: TrainPairsOptions,
): Promise<number> {
  const { steps, batchSize, startStep = 0, onStep, signal, dropoutSeed = 0 } = options;
  if (pairs.length === 0) throw new ModelError('bad-labels', 'there are no pairs to train on');
  let step = startStep;
  for (; step < steps && !signal?.aborted; step++) {
    const started = performance.now();
    const first = step * batchSize;
    const batch = Array.from({ length: batchSize }, (_, i) => pairs[(first + i) % pairs.length] as PreferencePair); // a remainder is below the length
    const result = await trainer.stepPairs(batch, { ...options, dropoutSeed: dropoutSeed + step });
    if (!Number.isFinite(result.lossNats) || !Number.isFinite(result.gradNorm)) {
      throw new ModelError(
        'diverged',
        `step ${step + 1}: loss ${result.lossNats}, gradient norm ${result.gradNorm}: lower the learning rate`,
      );
    }
    onStep?.({ ...result, step, seconds: (performance.now() - started) / 1000 });
  }
  return step - startStep;
}
