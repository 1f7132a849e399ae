import { type TuningStore, tuningScope } from '../gpu/autotune.ts';
import type { AdapterKind, Gpu } from '../gpu/device.ts';
import { GpuError } from '../gpu/error.ts';
import type { LlamaConfig } from '../llama/config.ts';
import type { AttentionKind } from '../llama/plan-capacity.ts';
import { randomSource } from '../llama/random-source.ts';
import { dequantise, type ReferenceWeights, referenceLoss } from '../llama/reference.ts';
import { loadModel, type Model } from '../llama/weights.ts';
import { adapterLayout, LORA_TARGETS, type LoraConfig } from '../lora/layout.ts';
import { uniform } from '../lora/uniform.ts';
import type { TokenizedExample } from './batch.ts';
import { createTrainer } from './trainer.ts';

// One layer, wide enough for a whole tile of every kernel that is a default, with edges that no tile divides. Kernels that
// the tuner prefers to them are held to their results (ops/matmul_tune.ts).
const CONFIG: LlamaConfig = {
  vocabSize: 136,
  hiddenSize: 72,
  intermediateSize: 140,
  layers: 1,
  heads: 6,
  kvHeads: 3,
  headDim: 12,
  ropeTheta: 10000,
  ropeScaling: null,
  rmsNormEps: 1e-5,
  tiedEmbeddings: false,
  maxPositions: 64,
  bosTokenId: 1,
  eosTokenIds: [2],
};
const LORA: LoraConfig = { rank: 4, alpha: 8, dropout: 0, targets: [...LORA_TARGETS] };
const LENGTHS = [33, 21, 17];

/** Largest relative difference from float64 that is rounding; a driver that computes wrongly is far beyond. */
const TOLERANCE = 1e-3;
/** Of the central differences; the loss is smooth and in float64. */
const EPSILON = 1e-4;

export interface SelfTestResult {
  /** |GPU − CPU| / |CPU| of the mean loss. */
  readonly lossError: number;
  /** The same of the loss's slope along the gradient and along two random directions, the largest. */
  readonly gradientError: number;
}

/**
 * Trains nothing, but runs one layer forward and backward on this GPU and in float64 on the CPU and compares loss and
 * gradient, on hardware with both kinds of attention: some drivers return wrong numbers without an error. The slopes of the
 * CPU's loss are central differences, so the CPU needs no backward pass. Returns the largest errors. Throws GpuError
 * 'wrong-results' with the figures.
 */
export async function selfTest(
  gpu: Gpu,
  attentions: readonly AttentionKind[] = ATTENTION[gpu.adapter.kind],
): Promise<SelfTestResult> {
  const source = randomSource(CONFIG, 'int8');
  const weights = new Map<string, Float64Array>();
  for (const name of source.tensorNames) weights.set(name, dequantise(await source.tensor(name)));
  const model = await loadModel(gpu, source);
  let worst: SelfTestResult = { lossError: 0, gradientError: 0 };
  try {
    for (const attention of attentions) {
      const result = await testWith(model, attention, weights);
      if (!(result.lossError <= TOLERANCE && result.gradientError <= TOLERANCE)) throw wrongResults(gpu, result);
      worst = {
        lossError: Math.max(worst.lossError, result.lossError),
        gradientError: Math.max(worst.gradientError, result.gradientError),
      };
    }
    return worst;
  } finally {
    model.destroy();
  }
}

/** What an adapter's kind takes by itself (`preferFlash`); software is the same program everywhere. */
const ATTENTION: Record<AdapterKind, readonly AttentionKind[]> = {
  hardware: ['materialised', 'flash'],
  llvmpipe: ['flash'],
  swiftshader: ['flash'],
};

async function testWith(model: Model, attention: AttentionKind, weights: ReferenceWeights): Promise<SelfTestResult> {
  const trainer = await createTrainer(model, LORA, { attention });
  const vector = Float32Array.from({ length: trainer.layout.length }, (_, i) => 0.4 * (uniform(7, i) - 0.5));
  const examples = LENGTHS.map(example);
  try {
    trainer.setAdapter(vector);
    const { lossNats } = await trainer.evaluate(examples);
    return compare(weights, vector, examples, { lossNats, gradient: await trainer.gradients(examples) });
  } finally {
    trainer.destroy();
  }
}

/** `selfTest`, unless this adapter, driver and browser passed before, which `store` remembers. */
export async function selfTestOnce(gpu: Gpu, store: TuningStore): Promise<void> {
  const key = `${tuningScope(gpu)}|self-test`;
  if ((await store.get(key)) === 'passed') return;
  await selfTest(gpu);
  await store.set(key, 'passed');
}

function compare(
  weights: ReferenceWeights,
  vector: Float32Array,
  examples: readonly TokenizedExample[],
  { lossNats, gradient }: { readonly lossNats: number; readonly gradient: Float32Array },
): SelfTestResult {
  const layout = adapterLayout(CONFIG, LORA);
  const counts = examples.map(({ labels }) => Array.from(labels).filter((label, t) => t > 0 && label >= 0).length);
  const total = counts.reduce((sum, count) => sum + count, 0);
  const loss = (at: ArrayLike<number>): number =>
    examples.reduce(
      (sum, one, i) => sum + (counts[i] ?? 0) * referenceLoss(CONFIG, weights, { layout, vector: at }, one),
      0,
    ) / total;
  const norm = Math.hypot(...gradient);
  const directions = [
    Float64Array.from(gradient, (g) => g / norm),
    ...[11, 12].map((seed) => unit(Float64Array.from(vector, (_, i) => uniform(seed, i) - 0.5))),
  ];
  const errors = directions.map((direction) => {
    const moved = (by: number) => direction.map((d, i) => (vector[i] ?? 0) + by * d);
    const slope = (loss(moved(EPSILON)) - loss(moved(-EPSILON))) / (2 * EPSILON);
    const got = direction.reduce((sum, d, i) => sum + d * (gradient[i] ?? 0), 0);
    return Math.abs(got - slope) / norm; // against the norm: a random direction's slope may be near zero
  });
  const expected = loss(vector);
  return { lossError: Math.abs(lossNats / expected - 1), gradientError: Math.max(...errors) };
}

function unit(values: Float64Array): Float64Array {
  const norm = Math.hypot(...values);
  return values.map((value) => value / norm);
}

/** Labels on the second half. */
function example(length: number, seed: number): TokenizedExample {
  const inputIds = Array.from({ length }, (_, t) => Math.floor(uniform(seed + 100, t) * CONFIG.vocabSize));
  return { inputIds, labels: inputIds.map((id, t) => (t < length / 2 ? -100 : id)) };
}

function wrongResults({ adapter }: Gpu, { lossError, gradientError }: SelfTestResult): GpuError {
  return new GpuError(
    'wrong-results',
    `this GPU computes wrongly (${adapter.description || adapter.device || adapter.vendor}): loss off by ` +
      `${lossError.toExponential(1)}, gradient by ${gradientError.toExponential(1)}, expected at most ${TOLERANCE}: ` +
      'update its driver or use another browser',
  );
}
