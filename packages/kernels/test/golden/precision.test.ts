import { describe, expect, it } from 'vitest';
import { loadModel } from '../../src/llama/weights.ts';
import { adapterLayout, type LoraConfig } from '../../src/lora/layout.ts';
import { hasF16 } from '../../src/ops/matmul_f16.ts';
import type { TokenizedExample } from '../../src/train/batch.ts';
import { checkPrecision } from '../../src/train/precision-gate.ts';
import { createTrainer } from '../../src/train/trainer.ts';
import { relativeL2 } from '../compare.ts';
import { testGpu } from '../gpu.ts';
import { floatsOf, goldenFile, goldenSource } from './golden-model.ts';

interface GoldenCase {
  readonly name: 'untied' | 'tied' | 'int8';
  readonly config: unknown;
  readonly lora: LoraConfig;
  readonly adapter: string;
  readonly batch: readonly TokenizedExample[];
  readonly lossNats: number;
  readonly gradients: Record<string, string>;
  readonly training: {
    readonly clipNorm: number;
    readonly weightDecay: number;
    readonly steps: readonly { learningRate: number; lossNats: number }[];
    readonly adapter: string;
  };
}

/**
 * Against PyTorch in float64: the largest relative L2 error of the gradient of each tensor and of all together, and the
 * smallest cosine of the update that five AdamW steps make. Largest and smallest seen on llvmpipe by printing them: f16
 * 4.0e-3, 2.5e-3 and 0.9997; dp4a 5.7e-4, 3.9e-4 and 0.9999999 (1.9e-4 and 9.7e-5 where plan B keeps its saves in f32);
 * dp4a8 5.1e-2, 2.3e-2 and 0.9971. f16 and dp4a are held to the 2e-2 and 0.999 of a precision that keeps the loss, dp4a to
 * what it reaches. dp4a8 misses them on rows of 32 values: rounded to int8 they have 0.5 % of noise at each of 14 linears,
 * and AdamW's first steps are signs: an element whose gradient is near zero counts like any other.
 */
const BOUNDS = {
  f16: { tensor: 2e-2, whole: 2e-2, update: 0.999, loss: 2e-2 },
  dp4a: { tensor: 2e-3, whole: 1e-3, update: 0.99999, loss: 1e-4 },
  dp4a8: { tensor: 6e-2, whole: 3e-2, update: 0.996, loss: 2e-2 },
} as const;

const { cases } = goldenFile('tiny.json') as { readonly cases: readonly GoldenCase[] };
const ways = cases.flatMap((expected) => {
  const precisions = expected.name === 'int8' ? (['f16', 'dp4a', 'dp4a8'] as const) : (['f16'] as const); // those need int8 weights
  const plans = ['a', 'b'] as const;
  return precisions.flatMap((precision) => plans.map((plan) => ({ name: expected.name, expected, precision, plan })));
});

function cosine(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let [product, ofA, ofB] = [0, 0, 0];
  for (let i = 0; i < b.length; i++) {
    product += (a[i] ?? Number.NaN) * (b[i] ?? Number.NaN);
    ofA += (a[i] ?? Number.NaN) ** 2;
    ofB += (b[i] ?? Number.NaN) ** 2;
  }
  return product / Math.sqrt(ofA * ofB);
}

describe.each(ways)('the $name Llama in $precision against PyTorch, plan $plan', ({ expected, precision, plan }) => {
  const { lora, batch, training } = expected;
  const setUp = async () => {
    const model = await loadModel(await testGpu(), goldenSource(expected.name, expected.config));
    const trainer = await createTrainer(model, lora, { precision, plan });
    const vector = floatsOf(expected.adapter);
    trainer.setAdapter(vector);
    const destroy = () => {
      trainer.destroy();
      model.destroy();
    };
    return { model, trainer, vector, destroy };
  };

  it('gives the loss and every LoRA gradient by name', async () => {
    const { model, trainer, destroy } = await setUp();
    const { lossNats } = await trainer.evaluate(batch);
    expect(Math.abs(lossNats / expected.lossNats - 1)).toBeLessThan(BOUNDS[precision].loss);
    const gradients = await trainer.gradients(batch);
    const all = new Float32Array(gradients.length);
    for (const { name, offset, shape } of adapterLayout(model.config, lora).tensors) {
      const gradient = gradients.subarray(offset, offset + shape[0] * shape[1]);
      const golden = floatsOf(expected.gradients[name] ?? '');
      all.set(golden, offset);
      expect(relativeL2(gradient, golden), name).toBeLessThan(BOUNDS[precision].tensor);
    }
    expect(relativeL2(gradients, all)).toBeLessThan(BOUNDS[precision].whole);
    destroy();
  });

  it('takes the five AdamW steps', async () => {
    const { trainer, vector, destroy } = await setUp();
    const { clipNorm, weightDecay } = training;
    for (const { learningRate, lossNats } of training.steps) {
      const step = await trainer.step(batch, { learningRate, clipNorm, weightDecay });
      expect(Math.abs(step.lossNats / lossNats - 1)).toBeLessThan(BOUNDS[precision].loss);
    }
    const moved = (await trainer.adapter()).map((w, i) => w - (vector[i] ?? 0));
    const target = floatsOf(training.adapter).map((w, i) => w - (vector[i] ?? 0));
    expect(cosine(moved, target)).toBeGreaterThanOrEqual(BOUNDS[precision].update);
    destroy();
  });

  it('really rounds, and passes the gate', async () => {
    const { model, vector, destroy } = await setUp();
    const check = await checkPrecision(model, lora, precision, batch, { adapter: vector, plan });
    // Plan B keeps its saves in f32, so without shader-f16 nothing of it is rounded.
    if (precision === 'f16' && plan === 'b' && !hasF16(await testGpu())) expect(check.gradientRelativeL2).toBe(0);
    else expect(check.gradientRelativeL2).toBeGreaterThan(1e-5);
    destroy();
  });
});
