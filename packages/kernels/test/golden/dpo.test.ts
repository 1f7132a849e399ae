import { describe, expect, it } from 'vitest';
import { loadModel } from '../../src/llama/weights.ts';
import type { LoraConfig } from '../../src/lora/layout.ts';
import type { PairLogProbs, PreferencePair } from '../../src/train/dpo.ts';
import { createTrainer, type TrainerOptions } from '../../src/train/trainer.ts';
import { relativeL2 } from '../compare.ts';
import { testGpu } from '../gpu.ts';
import { floatsOf, goldenFile, goldenSource } from './golden-model.ts';

/** Made by make_golden_dpo.py; (pairs, 2) log-probabilities are chosen, rejected. */
interface GoldenDpo {
  readonly cases: readonly {
    readonly name: 'untied' | 'tied' | 'int8';
    readonly config: unknown;
    readonly lora: LoraConfig;
    readonly adapter: string;
    readonly pairs: readonly PreferencePair[];
    readonly beta: number;
    readonly logProbs: readonly number[][];
    readonly referenceLogProbs: readonly number[][];
    readonly lossNats: number;
    readonly margins: readonly number[];
    readonly gradients: Record<string, string>;
    readonly given: {
      readonly referenceLogProbs: readonly number[][];
      readonly lossNats: number;
      readonly margins: readonly number[];
      readonly gradient: string;
    };
    readonly training: {
      readonly clipNorm: number;
      readonly weightDecay: number;
      readonly steps: readonly {
        readonly learningRate: number;
        readonly lossNats: number;
        readonly rewardMargin: number;
        readonly rewardAccuracy: number;
        readonly gradNorm: number;
      }[];
      readonly adapter: string;
    };
  }[];
}

const golden = goldenFile('dpo.json') as GoldenDpo;
const TOLERANCE = 1e-4;
const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
const logProbs = ([chosenLogProb = Number.NaN, rejectedLogProb = Number.NaN]: readonly number[]): PairLogProbs => ({
  chosenLogProb,
  rejectedLogProb,
});
const flat = (results: readonly PairLogProbs[]) => results.flatMap((r) => [r.chosenLogProb, r.rejectedLogProb]);

/** Ways to lay out the same four pairs; the last two make several micro-batches and several chunks of logits. */
const LAYOUTS: readonly TrainerOptions[] = [
  { packing: true },
  { packing: false },
  { packing: true, maxBatchRows: 2 },
  { packing: false, maxBatchRows: 2, plan: 'b' },
  { packing: false, maxBatchRows: 4, attention: 'flash' },
];

describe.each(golden.cases)('DPO on the $name Llama against PyTorch', (expected) => {
  const { lora, pairs, beta, training } = expected;
  const setUp = async (options: TrainerOptions) => {
    const model = await loadModel(await testGpu(), goldenSource(expected.name, expected.config));
    const trainer = await createTrainer(model, lora, options);
    trainer.setAdapter(floatsOf(expected.adapter));
    const close = () => {
      trainer.destroy();
      model.destroy();
    };
    return { trainer, close };
  };

  it.each(LAYOUTS)('gives log-probabilities, loss, margins and every LoRA gradient by name: %j', async (options) => {
    const { trainer, close } = await setUp(options);
    const scores = await trainer.sequenceScores(pairs.flatMap(({ chosen, rejected }) => [chosen, rejected]));
    const policy = scores.map(({ logProb }) => logProb);
    expect(relativeL2(policy, expected.logProbs.flat())).toBeLessThan(1e-5);
    const reference = await trainer.referenceLogProbs(pairs);
    expect(relativeL2(flat(reference), expected.referenceLogProbs.flat())).toBeLessThan(1e-5);
    const result = await trainer.evaluatePairs(pairs, { beta });
    expect(Math.abs(result.lossNats / expected.lossNats - 1)).toBeLessThan(TOLERANCE);
    expect(Math.abs(result.rewardMargin - mean(expected.margins))).toBeLessThan(TOLERANCE);
    expect(result.rewardAccuracy).toBe(mean(expected.margins.map((margin) => Number(margin > 0))));
    const reward = (side: 0 | 1) =>
      beta * mean(expected.logProbs.map((row, i) => (row[side] ?? 0) - (expected.referenceLogProbs[i]?.[side] ?? 0)));
    expect(Math.abs(result.chosenReward - reward(0))).toBeLessThan(TOLERANCE);
    expect(Math.abs(result.rejectedReward - reward(1))).toBeLessThan(TOLERANCE);
    for (const [i, pair] of pairs.entries()) {
      const { rewardMargin } = await trainer.evaluatePairs([pair], { beta });
      expect(Math.abs(rewardMargin - (expected.margins[i] ?? Number.NaN))).toBeLessThan(TOLERANCE);
    }
    const gradients = await trainer.pairGradients(pairs, { beta });
    expect(trainer.layout.tensors.map(({ name }) => name)).toEqual(Object.keys(expected.gradients));
    for (const { name, offset, shape } of trainer.layout.tensors) {
      const gradient = gradients.subarray(offset, offset + shape[0] * shape[1]);
      expect(relativeL2(gradient, floatsOf(expected.gradients[name] ?? '')), name).toBeLessThan(TOLERANCE);
    }
    close();
  });

  it.each(LAYOUTS)('takes the five AdamW steps: %j', async (options) => {
    const { trainer, close } = await setUp(options);
    const { clipNorm, weightDecay } = training;
    for (const { learningRate, ...wanted } of training.steps) {
      const step = await trainer.stepPairs(pairs, { learningRate, clipNorm, weightDecay, beta });
      expect(Math.abs(step.lossNats / wanted.lossNats - 1)).toBeLessThan(TOLERANCE);
      expect(Math.abs(step.gradNorm / wanted.gradNorm - 1)).toBeLessThan(TOLERANCE);
      expect(Math.abs(step.rewardMargin - wanted.rewardMargin)).toBeLessThan(TOLERANCE);
      expect(step.rewardAccuracy).toBe(wanted.rewardAccuracy);
    }
    const start = floatsOf(expected.adapter);
    const moved = (await trainer.adapter()).map((w, i) => w - (start[i] ?? 0));
    const target = floatsOf(training.adapter).map((w, i) => w - (start[i] ?? 0));
    expect(relativeL2(moved, target)).toBeLessThan(TOLERANCE);
    close();
  });

  it('takes log-probabilities of another reference model, for all pairs or for some', async () => {
    const { trainer, close } = await setUp({ maxBatchRows: 4 });
    const { given } = expected;
    const told = pairs.map((pair, i) => ({ ...pair, reference: logProbs(given.referenceLogProbs[i] ?? []) }));
    const result = await trainer.evaluatePairs(told, { beta });
    expect(Math.abs(result.lossNats / given.lossNats - 1)).toBeLessThan(TOLERANCE);
    expect(relativeL2(await trainer.pairGradients(told, { beta }), floatsOf(given.gradient))).toBeLessThan(TOLERANCE);
    const some = pairs.map((pair, i) => (i % 2 === 0 ? pair : (told[i] ?? pair)));
    const margins = expected.margins.map((margin, i) => (i % 2 === 0 ? margin : (given.margins[i] ?? Number.NaN)));
    expect(Math.abs((await trainer.evaluatePairs(some, { beta })).rewardMargin - mean(margins))).toBeLessThan(
      TOLERANCE,
    );
    close();
  });
});
