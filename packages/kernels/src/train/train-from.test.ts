import { expect, it } from 'vitest';
import { testGpu } from '../../test/gpu.ts';
import { randomSource, TINY } from '../../test/random-model.ts';
import { loadModel } from '../llama/weights.ts';
import { uniform } from '../lora/uniform.ts';
import { train } from './train.ts';
import { trainFrom } from './train-from.ts';
import { createTrainer } from './trainer.ts';

it('trains the ordered rows from the given vector, whatever the trainer did before', async () => {
  const model = await loadModel(await testGpu(), randomSource(TINY, 'f32'));
  const lora = { rank: 2, alpha: 4, dropout: 0, targets: ['q_proj', 'v_proj'] } as const;
  const examples = [5, 9, 7].map((length, row) => {
    const inputIds = Array.from({ length }, (_, t) => Math.floor(uniform(row, t) * TINY.vocabSize));
    return { inputIds, labels: inputIds.map((id, t) => (t < 2 ? -100 : id)) };
  });
  const options = { steps: 2, batchSize: 2, learningRate: 0.02, clipNorm: 1, mu: 0.5 };
  const order = [2, 0, 1, 2];

  const reference = await createTrainer(model, lora);
  const { length } = reference.layout;
  const vectorOf = (seed: number) => Float32Array.from({ length }, (_, i) => 0.6 * (uniform(seed, i) - 0.5));
  const [weights, drift] = [vectorOf(3), vectorOf(4)];
  reference.setAdapter(weights);
  reference.setReference(weights);
  reference.setDrift(drift);
  await train(
    reference,
    order.flatMap((index) => examples[index] ?? []),
    options,
  );
  const expected = await reference.adapter();

  const used = await createTrainer(model, lora);
  await trainFrom(used, examples, { ...options, weights: vectorOf(8), order: [1, 1], drift: vectorOf(9) });
  expect(await trainFrom(used, examples, { ...options, weights, order, drift })).toEqual(expected);
  // Without a drift the one of before is gone.
  const plain = await trainFrom(used, examples, { ...options, weights, order });
  expect(plain).not.toEqual(expected);
  expect(await trainFrom(reference, examples, { ...options, weights, order })).toEqual(plain);
  await expect(trainFrom(used, examples, { ...options, weights, order: [3] })).rejects.toThrow('row 3 of 3');
  for (const trainer of [used, reference]) trainer.destroy();
  model.destroy();
});
