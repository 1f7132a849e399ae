import { describe, expect, it } from 'vitest';
import { testGpu } from '../../test/gpu.ts';
import { randomSource, TINY } from '../../test/random-model.ts';
import { relativeL2 } from '../../test/reference.ts';
import { loadModel, type Model } from '../llama/weights.ts';
import { initAdapter } from '../lora/init.ts';
import { LORA_TARGETS, type LoraConfig } from '../lora/layout.ts';
import { uniform } from '../lora/uniform.ts';
import type { TokenizedExample } from './batch.ts';
import type { PreferencePair } from './dpo.ts';
import { withReferenceAdapter } from './dpo-reference.ts';
import { trainPairs } from './dpo-train.ts';
import { createTrainer, type Trainer } from './trainer.ts';

const ALL: LoraConfig = { rank: 3, alpha: 6, dropout: 0, targets: LORA_TARGETS };
let model: Promise<Model> | undefined;
const tinyModel = async (): Promise<Model> => {
  model ??= testGpu().then((gpu) => loadModel(gpu, randomSource(TINY, 'int8')));
  return model;
};

/** An adapter with a B that is not zero, so that the policy is not the reference model. */
function livelyAdapter({ layout }: Trainer, seed = 7): Float32Array<ArrayBuffer> {
  return initAdapter(layout, seed).map((value, i) => value + 0.4 * (uniform(seed, i) - 0.5));
}

/** Pairs with prompts and answers of many lengths; the first answer is preferred. */
function pairsOf(count: number, seed = 3): PreferencePair[] {
  return Array.from({ length: count }, (_, pair) => {
    const draw = (i: number, below: number) => Math.floor(uniform(seed + pair, i) * below);
    const prompt = Array.from({ length: 2 + draw(0, 9) }, (_, i) => 3 + draw(100 + i, TINY.vocabSize - 3));
    const side = (salt: number): TokenizedExample => {
      const answer = Array.from({ length: 1 + draw(salt, 12) }, (_, i) => 3 + draw(salt + i + 1, TINY.vocabSize - 3));
      return { inputIds: [...prompt, ...answer], labels: [...prompt.map(() => -100), ...answer] };
    };
    return { chosen: side(1000), rejected: side(2000) };
  });
}

describe('DPO on a trainer', () => {
  it('starts at a loss of ln 2 and no margin at all, since a fresh adapter is the reference model', async () => {
    const trainer = await createTrainer(await tinyModel(), ALL);
    trainer.setAdapter(initAdapter(trainer.layout, 1));
    const pairs = pairsOf(9);
    const result = await trainer.evaluatePairs(pairs, { beta: 0.3 });
    expect(result).toMatchObject({ rewardMargin: 0, rewardAccuracy: 0, chosenReward: 0, rejectedReward: 0, pairs: 9 });
    expect(result.lossNats).toBeCloseTo(Math.LN2, 6);
    trainer.destroy();
  });

  it('starts at ln 2 and no margin from any adapter that is its own reference', async () => {
    const trainer = await createTrainer(await tinyModel(), ALL);
    const start = livelyAdapter(trainer);
    const pairs = pairsOf(9);
    const referenced = await withReferenceAdapter(trainer, pairs, start);
    const atStart = await trainer.evaluatePairs(referenced, { beta: 0.3 });
    for (const figure of [atStart.rewardMargin, atStart.chosenReward, atStart.rejectedReward])
      expect(Math.abs(figure)).toBeLessThan(1e-5);
    expect(atStart.lossNats).toBeCloseTo(Math.LN2, 5);
    const { lossNats, chosenReward } = await trainer.evaluatePairs(pairs, { beta: 0.3 }); // against the base alone
    expect(Math.abs(lossNats - Math.LN2)).toBeGreaterThan(1e-3);
    expect(Math.abs(chosenReward)).toBeGreaterThan(1e-2);
    trainer.destroy();
  });

  it('measures against a reference adapter as its log-probabilities say in float64, keeping those that are given', async () => {
    const trainer = await createTrainer(await tinyModel(), ALL);
    const [start, now] = [livelyAdapter(trainer, 7), livelyAdapter(trainer, 8)];
    const pairs = pairsOf(6);
    const beta = 0.3;
    const sums = async (adapter: Float32Array) => {
      trainer.setAdapter(adapter);
      const sides = pairs.flatMap(({ chosen, rejected }) => [chosen, rejected]);
      return (await trainer.sequenceScores(sides)).map(({ logProb }) => logProb);
    };
    const [before, after] = [await sums(start), await sums(now)];
    const rewards = after.map((logProb, i) => beta * (logProb - (before[i] ?? 0)));
    const mean = (of: (pair: number) => number) => pairs.reduce((sum, _, i) => sum + of(i), 0) / pairs.length;
    const margin = (i: number) => (rewards[2 * i] ?? 0) - (rewards[2 * i + 1] ?? 0);
    const referenced = await withReferenceAdapter(trainer, pairs, start);
    trainer.setAdapter(now);
    const result = await trainer.evaluatePairs(referenced, { beta });
    expect(result.lossNats).toBeCloseTo(
      mean((i) => Math.log1p(Math.exp(-margin(i)))),
      4,
    );
    expect(result.rewardMargin).toBeCloseTo(mean(margin), 4);
    expect(result.chosenReward).toBeCloseTo(
      mean((i) => rewards[2 * i] ?? 0),
      4,
    );

    const given = { chosenLogProb: -1, rejectedLogProb: -2 };
    const some = pairs.map((pair, i) => (i === 4 ? { ...pair, reference: given } : pair));
    const kept = await withReferenceAdapter(trainer, some, start);
    expect(kept.map(({ reference }) => reference)).toEqual(
      referenced.map(({ reference }, i) => (i === 4 ? given : reference)),
    );
    trainer.destroy();
  });

  it('gives the sums of the responses, the same as the loss of each alone', async () => {
    const trainer = await createTrainer(await tinyModel(), ALL);
    const pairs = pairsOf(70); // more than are read back at a time
    trainer.setAdapter(initAdapter(trainer.layout, 1)); // the base model, for `evaluate` below
    const seen: number[] = [];
    const onProgress = (progress: { pairs: number; totalPairs: number }) => seen.push(progress.pairs);
    const references = await trainer.referenceLogProbs(pairs, { onProgress });
    expect(seen).toEqual([64, 70]);
    for (const i of [0, 13, 69]) {
      const { chosen, rejected } = pairs[i] as PreferencePair;
      for (const [example, logProb] of [
        [chosen, references[i]?.chosenLogProb],
        [rejected, references[i]?.rejectedLogProb],
      ] as const) {
        const { lossNats, labelTokens } = await trainer.evaluate([example]);
        expect(Math.abs((logProb ?? Number.NaN) / (-lossNats * labelTokens) - 1)).toBeLessThan(1e-5);
      }
    }
    trainer.destroy();
  });

  it('gives one gradient however the pairs are laid out, and the same bits each time', async () => {
    const pairs = pairsOf(11);
    const run = async (options: Parameters<typeof createTrainer>[2]) => {
      const trainer = await createTrainer(await tinyModel(), ALL, options);
      trainer.setAdapter(livelyAdapter(trainer));
      const gradient = await trainer.pairGradients(pairs, { beta: 0.2 });
      const step = await trainer.stepPairs(pairs, { beta: 0.2, learningRate: 0.01, clipNorm: 1 });
      const result = { gradient, step, adapter: await trainer.adapter() };
      trainer.destroy();
      return result;
    };
    const whole = await run({});
    expect(await run({})).toEqual(whole);
    expect(Math.abs(whole.step.gradNorm / Math.hypot(...whole.gradient) - 1)).toBeLessThan(1e-5);
    for (const options of [
      { packing: false },
      { maxBatchRows: 2 },
      { packing: false, maxBatchRows: 1 }, // a pair stays together nonetheless
      { packing: false, logitChunkBytes: 1 }, // three chunks of at most 64 label rows
      { plan: 'b' },
    ] as const) {
      const other = await run(options);
      expect(relativeL2(other.gradient, whole.gradient), JSON.stringify(options)).toBeLessThan(1e-5);
      expect(Math.abs(other.step.lossNats / whole.step.lossNats - 1)).toBeLessThan(1e-5);
      expect(other.step.tokens).toBe(whole.step.tokens);
    }
  });

  it('keeps loss and gradient in f16', async () => {
    const pairs = pairsOf(5);
    const run = async (precision: 'f32' | 'f16') => {
      const trainer = await createTrainer(await tinyModel(), ALL, { precision });
      trainer.setAdapter(livelyAdapter(trainer));
      const gradient = await trainer.pairGradients(pairs, { beta: 0.2 });
      const { lossNats } = await trainer.evaluatePairs(pairs, { beta: 0.2 });
      trainer.destroy();
      return { gradient, lossNats };
    };
    const [exact, rounded] = [await run('f32'), await run('f16')];
    expect(Math.abs(rounded.lossNats / exact.lossNats - 1)).toBeLessThan(2e-2);
    expect(relativeL2(rounded.gradient, exact.gradient)).toBeLessThan(2e-2);
    expect(rounded.gradient).not.toEqual(exact.gradient);
  });

  it('is finite with a β that drives every pair to the ends', async () => {
    const trainer = await createTrainer(await tinyModel(), ALL);
    const pairs = pairsOf(6);
    for (const beta of [1e-6, 1e4]) {
      trainer.setAdapter(livelyAdapter(trainer));
      trainer.resetOptimizer();
      const step = await trainer.stepPairs(pairs, { beta, learningRate: 1e-3 });
      for (const value of Object.values(step)) expect(Number.isFinite(value)).toBe(true);
      expect((await trainer.adapter()).every(Number.isFinite)).toBe(true);
    }
    trainer.destroy();
  });

  it('applies μ, drift and clipping as a supervised step does', async () => {
    const trainer = await createTrainer(await tinyModel(), ALL);
    const pairs = pairsOf(4);
    const start = livelyAdapter(trainer);
    const reference = livelyAdapter(trainer, 21);
    const drift = start.map((_, i) => 0.01 * (uniform(22, i) - 0.5));
    trainer.setAdapter(start);
    trainer.setReference(reference);
    const gradient = await trainer.pairGradients(pairs, { beta: 0.2 });
    trainer.setDrift(drift);
    const { gradNorm } = await trainer.stepPairs(pairs, { beta: 0.2, learningRate: 0.01, mu: 0.3, clipNorm: 0.01 });
    const g = gradient.map((value, i) => value + 0.3 * ((start[i] ?? 0) - (reference[i] ?? 0)) + (drift[i] ?? 0));
    expect(gradNorm).toBeCloseTo(Math.hypot(...g), 4);
    const scale = 0.01 / Math.hypot(...g);
    const adamFirstStep = start.map(
      (w, i) => w - (0.01 * scale * (g[i] ?? 0)) / (Math.abs(scale * (g[i] ?? 0)) + 1e-8),
    );
    expect(relativeL2(await trainer.adapter(), adamFirstStep)).toBeLessThan(1e-5);
    trainer.destroy();
  });

  it('learns to prefer, and leaves supervised steps as they were', async () => {
    const trainer = await createTrainer(await tinyModel(), { ...ALL, dropout: 0.1 });
    const examples = pairsOf(3, 50).map(({ chosen }) => chosen);
    const supervised = async () => {
      trainer.setAdapter(livelyAdapter(trainer));
      trainer.resetOptimizer();
      await trainer.step(examples, { learningRate: 0.01 });
      return trainer.adapter();
    };
    const before = await supervised();
    trainer.setAdapter(initAdapter(trainer.layout, 1));
    trainer.resetOptimizer();
    const pairs = pairsOf(6);
    const records: number[] = [];
    const taken = await trainPairs(trainer, pairs, {
      steps: 12,
      batchSize: 6,
      learningRate: 0.01,
      beta: 0.5,
      clipNorm: 1,
      onStep: (record) => records.push(record.rewardMargin),
    });
    expect([taken, records.length]).toEqual([12, 12]);
    const after = await trainer.evaluatePairs(pairs, { beta: 0.5 });
    expect(after.rewardAccuracy).toBe(1);
    expect(after.rewardMargin).toBeGreaterThan(0.5);
    expect(after.rewardMargin).toBeCloseTo(after.chosenReward - after.rejectedReward, 5);
    expect(await supervised()).toEqual(before);
    trainer.destroy();
  });

  it('refuses what it cannot learn from, naming the pair', async () => {
    const trainer = await createTrainer(await tinyModel(), ALL);
    const [good] = pairsOf(1) as [PreferencePair];
    const step = (pair: PreferencePair, beta = 0.1) => trainer.stepPairs([good, pair], { learningRate: 0.1, beta });
    const unlabelled = { inputIds: [1, 2], labels: [1, -100] };
    await expect(step({ ...good, rejected: unlabelled })).rejects.toThrow(/pair 1: the rejected response has no label/);
    await expect(step({ ...good, chosen: { inputIds: [1, 99], labels: [-100, 99] } })).rejects.toThrow(
      /pair 1, chosen.*token 99/,
    );
    const reference = { chosenLogProb: Number.NaN, rejectedLogProb: -3 };
    await expect(step({ ...good, reference })).rejects.toThrow(/pair 1: reference log-probabilities NaN/);
    await expect(step(good, 0)).rejects.toThrow(/beta: got 0/);
    await expect(trainer.stepPairs([], { learningRate: 0.1, beta: 0.1 })).rejects.toThrow(/no pairs/);
    expect((await trainer.evaluatePairs([], { beta: 0.1 })).lossNats).toBeNaN();
    await expect(trainPairs(trainer, [], { steps: 1, batchSize: 1, learningRate: 0, beta: 1 })).rejects.toThrow(
      /no pairs/,
    );
    trainer.destroy();
  });
});
