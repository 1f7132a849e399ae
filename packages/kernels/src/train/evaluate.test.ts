import { expect, it } from 'vitest';
import { testGpu } from '../../test/gpu.ts';
import { randomSource, TINY } from '../../test/random-model.ts';
import { dequantise, type ReferenceWeights, referenceLoss } from '../llama/reference.ts';
import type { ModelSource } from '../llama/source.ts';
import { loadModel } from '../llama/weights.ts';
import { LORA_TARGETS, type LoraConfig } from '../lora/layout.ts';
import { uniform } from '../lora/uniform.ts';
import { labelCount, type TokenizedExample } from './batch.ts';
import { createTrainer, type TrainerOptions } from './trainer.ts';

const LORA: LoraConfig = { rank: 3, alpha: 6, dropout: 0.4, targets: LORA_TARGETS };
const source = randomSource(TINY, 'int8');

async function weightsOf({ tensor, tensorNames }: ModelSource): Promise<ReferenceWeights> {
  const found = tensorNames.map(async (name) => [name, dequantise(await tensor(name))] as const);
  return new Map(await Promise.all(found));
}

/** Prompts of many lengths, with answers of 1…5 tokens after them. */
function sequences(count: number): TokenizedExample[] {
  return Array.from({ length: count }, (_, row) => {
    const prompt = 1 + ((row * 7) % 23);
    const inputIds = Array.from({ length: prompt + 1 + (row % 5) }, (_, t) =>
      Math.floor(uniform(row, t) * TINY.vocabSize),
    );
    return { inputIds, labels: inputIds.map((id, t) => (t < prompt ? -100 : id)) };
  });
}

it.each<TrainerOptions>([{}, { packing: false }, { maxBatchRows: 1, logitChunkBytes: 1 }])(
  'scores each sequence as a float64 Llama does, in the given order: %j',
  async (options) => {
    const model = await loadModel(await testGpu(), source);
    const trainer = await createTrainer(model, LORA, options);
    const vector = Float32Array.from({ length: trainer.layout.length }, (_, i) => 0.6 * (uniform(5, i) - 0.5));
    trainer.setAdapter(vector);
    const weights = await weightsOf(source);
    const examples = sequences(14);
    const seen: number[] = [];
    const scores = await trainer.sequenceScores(examples, { onProgress: ({ rows }) => void seen.push(rows) });
    expect(scores).toHaveLength(14);
    expect(seen.at(-1)).toBe(14);
    examples.forEach((example, i) => {
      const count = labelCount(example);
      const expected = -count * referenceLoss(TINY, weights, { layout: trainer.layout, vector }, example);
      expect(scores[i]?.tokenLogProbs).toHaveLength(count);
      expect(Math.abs((scores[i]?.logProb ?? Number.NaN) / expected - 1)).toBeLessThan(1e-5);
    });
    trainer.destroy();
    model.destroy();
  },
);

it.each<TrainerOptions>([{}, { packing: false }, { maxBatchRows: 2 }])(
  'answers probes as if each were the label in that place: %j',
  async (options) => {
    const model = await loadModel(await testGpu(), source);
    const trainer = await createTrainer(model, LORA, options);
    trainer.setAdapter(Float32Array.from({ length: trainer.layout.length }, (_, i) => 0.6 * (uniform(5, i) - 0.5)));
    const examples = sequences(9).map((example, row) => {
      const last = example.inputIds.length - 1;
      const probe = (at: number) => ({ at, token: (11 * row + at) % TINY.vocabSize });
      return { ...example, probes: row === 4 ? [] : [probe(last), probe(1 + (row % last))] };
    });
    const scores = await trainer.sequenceScores(examples);
    const plain = await trainer.sequenceScores(examples.map(({ inputIds, labels }) => ({ inputIds, labels })));
    for (const [i, { inputIds, probes }] of examples.entries()) {
      expect(scores[i]).toMatchObject({ exact: plain[i]?.exact });
      expect(scores[i]?.logProb).toBeCloseTo(plain[i]?.logProb ?? Number.NaN, 4);
      const asked = probes.map(({ at, token }) => ({
        inputIds: Array.from(inputIds, (id, t) => (t === at ? token : id)).slice(0, at + 1),
        labels: Array.from(inputIds, (_, t) => (t === at ? token : -100)).slice(0, at + 1),
      }));
      const alone = await trainer.sequenceScores(asked);
      expect(scores[i]?.probeLogProbs).toHaveLength(probes.length);
      alone.forEach(({ logProb }, k) => {
        expect(scores[i]?.probeLogProbs[k]).toBeCloseTo(logProb, 4);
      });
    }
    const [first] = sequences(1);
    if (!first) throw new Error('there is one');
    const beyond = { ...first, probes: [{ at: first.inputIds.length, token: 3 }] };
    await expect(trainer.sequenceScores([beyond])).rejects.toThrow('example 0: probe of token 3');
    const unknown = { ...first, probes: [{ at: 1, token: TINY.vocabSize }] };
    await expect(trainer.sequenceScores([unknown])).rejects.toThrow('expected one of 0…39');
    trainer.destroy();
    model.destroy();
  },
);

it('says of each sequence what an evaluation says of all, and nothing of one without labels', async () => {
  const model = await loadModel(await testGpu(), source);
  const trainer = await createTrainer(model, LORA);
  trainer.setAdapter(Float32Array.from({ length: trainer.layout.length }, (_, i) => 0.6 * (uniform(5, i) - 0.5)));
  const examples = sequences(40);
  const first = examples[21]; // neither the longest nor the shortest: rows go by length, scores do not
  if (!first) throw new Error('there are forty');
  // Teach one of them, so that one at least is answered exactly.
  for (let step = 0; step < 25; step++) await trainer.step([first], { learningRate: 0.05, dropoutSeed: step });
  const scores = await trainer.sequenceScores(examples);
  const evaluation = await trainer.evaluate(examples);
  const total = scores.reduce((sum, { logProb }) => sum + logProb, 0);
  expect(-total / evaluation.labelTokens).toBeCloseTo(evaluation.lossNats, 9);
  expect(scores.filter(({ exact }) => exact).length / 40).toBe(evaluation.exactMatch);
  expect(scores[21]?.exact).toBe(true);
  expect(scores.some(({ exact }) => !exact)).toBe(true);
  const silent = { inputIds: [1, 2, 3], labels: [1, -100, -100] }; // nothing predicts the first position
  expect(await trainer.sequenceScores([silent])).toEqual([
    { logProb: 0, tokenLogProbs: [], probeLogProbs: [], exact: false },
  ]);
  expect((await trainer.sequenceScores([silent, first]))[1]).toEqual((await trainer.sequenceScores([first]))[0]);
  expect(await trainer.sequenceScores([])).toEqual([]);
  trainer.destroy();
  model.destroy();
});
