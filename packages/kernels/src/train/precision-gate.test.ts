import { describe, expect, it } from 'vitest';
import { testGpu } from '../../test/gpu.ts';
import { arraySource, randomSource } from '../../test/random-model.ts';
import type { LlamaConfig } from '../llama/config.ts';
import { loadModel } from '../llama/weights.ts';
import type { LoraConfig } from '../lora/layout.ts';
import { MAX_OUTLIER_COLUMNS } from '../ops/quantize_activations.ts';
import { checkPrecision } from './precision-gate.ts';

const CONFIG: LlamaConfig = {
  vocabSize: 72,
  hiddenSize: 96,
  intermediateSize: 140,
  layers: 2,
  heads: 6,
  kvHeads: 3,
  headDim: 16,
  ropeTheta: 10000,
  ropeScaling: null,
  rmsNormEps: 1e-5,
  tiedEmbeddings: false,
  maxPositions: 64,
  bosTokenId: 1,
  eosTokenIds: [2],
};
// Not on the linears whose inputs get outliers: LoRA's own A would multiply them.
const LORA: LoraConfig = { rank: 4, alpha: 8, dropout: 0.1, targets: ['o_proj', 'down_proj'] };
const EXAMPLES = [19, 33, 8].map((length, row) => {
  const inputIds = Array.from({ length }, (_, t) => 3 + ((t * t + 7 * row) % 69));
  return { inputIds, labels: inputIds.map((id, t) => (t < 3 ? -100 : id)) };
});

/** A random model whose layers' norms make `count` of the hidden columns `times` as large, with weights of zero there. */
async function modelWithOutliers(count: number, times = 1000) {
  const plain = randomSource(CONFIG, 'f32');
  const weights = new Map<string, Float32Array<ArrayBuffer>>();
  for (const name of plain.tensorNames) {
    const tensor = await plain.tensor(name);
    if (tensor.dtype !== 'f32') throw new Error(name);
    const data = tensor.data.slice();
    if (/layernorm/.test(name)) for (let k = 0; k < count; k++) data[k] = times * (data[k] ?? 0);
    if (/(q|k|v|gate|up)_proj/.test(name)) {
      for (let i = 0; i < data.length; i++) if (i % CONFIG.hiddenSize < count) data[i] = 0;
    }
    weights.set(name, data);
  }
  const source = arraySource(CONFIG, 'int8', (name) => weights.get(name) ?? new Float32Array());
  return loadModel(await testGpu(), source);
}

describe('the precision gate', () => {
  it('returns the figures of a precision that keeps loss and gradient', async () => {
    const model = await modelWithOutliers(0);
    const check = await checkPrecision(model, LORA, 'dp4a8', EXAMPLES);
    expect(check.lossDifference).toBeLessThan(2e-2);
    expect(check.gradientCosine).toBeGreaterThan(0.999);
    expect(check.gradientRelativeL2).toBeGreaterThan(1e-4);
    const finer = await checkPrecision(model, LORA, 'dp4a', EXAMPLES);
    expect(finer.gradientRelativeL2).toBeGreaterThan(1e-5); // it does round
    expect(finer.gradientRelativeL2).toBeLessThan(check.gradientRelativeL2 / 10);
    const same = await checkPrecision(model, LORA, 'f32', EXAMPLES);
    expect(same).toMatchObject({ lossDifference: 0, gradientRelativeL2: 0 });
    model.destroy();
  });

  it.each(['dp4a', 'dp4a8'] as const)('lets as many outlier columns pass as %s sets aside', async (precision) => {
    const model = await modelWithOutliers(MAX_OUTLIER_COLUMNS);
    await expect(checkPrecision(model, LORA, precision, EXAMPLES)).resolves.toBeDefined();
    model.destroy();
  });

  it('refuses where there are more, with the figures', async () => {
    const model = await modelWithOutliers(MAX_OUTLIER_COLUMNS + 8);
    const refused = checkPrecision(model, LORA, 'dp4a8', EXAMPLES);
    await expect(refused).rejects.toMatchObject({ name: 'ModelError', code: 'imprecise' });
    await expect(refused).rejects.toThrow(/cosine is -?[0-9.]+ \(at least 0.999\): train in f32/);
    await expect(checkPrecision(model, LORA, 'f16', EXAMPLES)).resolves.toBeDefined(); // f16 has the range
    await expect(checkPrecision(model, LORA, 'dp4a', EXAMPLES)).resolves.toBeDefined(); // 16 bits have the steps
    model.destroy();
  });

  it('refuses 16 bits too where even their steps are too large', async () => {
    const model = await modelWithOutliers(MAX_OUTLIER_COLUMNS + 8, 1e5);
    await expect(checkPrecision(model, LORA, 'dp4a', EXAMPLES)).rejects.toMatchObject({ code: 'imprecise' });
    model.destroy();
  });

  it.each(['dp4a', 'dp4a8'] as const)('refuses %s on f32 weights', async (precision) => {
    const model = await loadModel(await testGpu(), randomSource(CONFIG, 'f32'));
    await expect(checkPrecision(model, LORA, precision, EXAMPLES)).rejects.toMatchObject({ code: 'wrong-dtype' });
    model.destroy();
  });
});
