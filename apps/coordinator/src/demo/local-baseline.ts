import { ALGORITHMS, cosineLearningRate, exampleOrder, roundSeed } from '@cotune/fl-core';
import type { HeldOutMetrics, RunConfig } from '@cotune/fl-core/protocol';
import { adapterLayout, createTrainer, hostOf, initAdapter, type Model } from '@cotune/kernels';
import { type HeldOutSet, measure } from '../evaluator/measure.ts';
import { rowCount, type TrainingData, taskTrainer } from '../participant/training-data.ts';

/**
 * What each participant reaches alone: the same number of optimiser steps, seeds, order of rows and learning rates as in
 * the federated run, but its own weights carried from round to round. The fair baseline of federation.
 *
 * @returns held-out metrics, one per shard
 */
export async function localBaseline(
  model: Model,
  config: RunConfig,
  shards: readonly TrainingData[],
  heldOut: HeldOutSet,
  onProgress: (doneSteps: number, totalSteps: number) => void,
): Promise<HeldOutMetrics[]> {
  const start = initAdapter(adapterLayout(model.config, config.lora), config.seed);
  const total = shards.length * config.rounds * config.steps;
  const rule = ALGORITHMS.local.localRule();
  const metrics: HeldOutMetrics[] = [];
  const trainer = await createTrainer(model, config.lora);
  let done = 0;
  for (const [ordinal, data] of shards.entries()) {
    const local = taskTrainer(hostOf(trainer), data, config);
    let weights: Float32Array = start;
    for (let round = 0; round < config.rounds; round++) {
      const seed = roundSeed(config.seed, round, ordinal);
      weights = await local.train({
        weights,
        order: exampleOrder({ examples: rowCount(data), count: config.steps * config.batchSize, seed }),
        steps: config.steps,
        batchSize: config.batchSize,
        learningRate: cosineLearningRate({
          round,
          rounds: config.rounds,
          max: config.learningRate,
          min: config.minLearningRate,
        }),
        clipNorm: config.clipNorm,
        weightDecay: config.weightDecay,
        seed,
        rule,
        signal: new AbortController().signal,
        onStep: () => onProgress(++done, total),
      });
    }
    trainer.setAdapter(weights);
    metrics.push(await measure(trainer, heldOut));
  }
  trainer.destroy();
  return metrics;
}
