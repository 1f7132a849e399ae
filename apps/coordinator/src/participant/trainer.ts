import type { LocalTrainer } from '@cotune/fl-core';
import { type TokenizedExample, type Trainer, train } from '@cotune/kernels';

/** Adapts the engine's trainer to what a participant needs: fresh optimiser, the given order, the algorithm's local rule. */
export function localTrainer(trainer: Trainer, examples: readonly TokenizedExample[]): LocalTrainer {
  return {
    async train(job) {
      const rows = job.order.map((index) => {
        const example = examples[index];
        if (!example) throw new RangeError(`example ${index} of ${examples.length}`);
        return example;
      });
      trainer.setAdapter(job.weights);
      trainer.resetOptimizer();
      trainer.setReference(job.weights);
      trainer.setDrift(job.rule.drift ?? null);
      await train(trainer, rows, {
        steps: job.steps,
        batchSize: job.batchSize,
        learningRate: job.learningRate,
        clipNorm: job.clipNorm,
        weightDecay: job.weightDecay,
        dropoutSeed: job.seed,
        mu: job.rule.mu,
        ...(job.rule.driftTarget && { driftTarget: job.rule.driftTarget }),
        signal: job.signal,
        onStep: (record) =>
          job.onStep({
            step: record.step + 1,
            lossNats: record.lossNats,
            gradNorm: record.gradNorm,
            tokensPerSecond: record.seconds > 0 ? record.tokens / record.seconds : 0,
            ms: record.seconds * 1000,
          }),
      });
      return trainer.adapter();
    },
  };
}
