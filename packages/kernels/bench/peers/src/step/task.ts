import type { LlamaConfig } from '../../../../src/llama/config.ts';
import { initAdapter } from '../../../../src/lora/init.ts';
import { type AdapterLayout, adapterLayout, LORA_TARGETS, type LoraConfig } from '../../../../src/lora/layout.ts';
import { uniform } from '../../../../src/lora/uniform.ts';
import { modelTensors } from '../../../../src/quantize/model-tensors.ts';
import type { TokenizedExample } from '../../../../src/train/batch.ts';
import { randomSource } from '../../../../test/random-model.ts';

/** One LoRA step that everybody takes from the same weights on the same data. */
export interface StepTask {
  readonly config: LlamaConfig;
  readonly lora: LoraConfig;
  readonly layout: AdapterLayout;
  /** Frozen f32 weights by Hugging Face's names. */
  readonly weights: ReadonlyMap<string, Weight>;
  /** The adapter before the first step, in the layout's order; B is not zero, so that A learns from the first step. */
  readonly adapter: Float32Array<ArrayBuffer>;
  readonly batch: number;
  /** Tokens of a sequence that go through the model; each predicts its successor. */
  readonly seq: number;
  /** (batch, seq + 1) */
  readonly ids: readonly (readonly number[])[];
  readonly learningRate: number;
}

export interface Weight {
  readonly shape: readonly number[];
  readonly data: Float32Array<ArrayBuffer>;
}

const CONFIG: LlamaConfig = {
  vocabSize: 1024,
  hiddenSize: 128,
  intermediateSize: 344,
  layers: 4,
  heads: 4,
  kvHeads: 4,
  headDim: 32,
  ropeTheta: 10000,
  ropeScaling: null,
  rmsNormEps: 1e-5,
  tiedEmbeddings: false,
  maxPositions: 64,
  bosTokenId: 1,
  eosTokenIds: [2],
};
const LORA: LoraConfig = { rank: 8, alpha: 16, dropout: 0, targets: LORA_TARGETS };

/** dim 128, 4 layers, 4 heads, ff 344, vocab 1024; rank 8 on all seven linears; 16 sequences of 32 tokens. */
export async function makeStepTask(): Promise<StepTask> {
  const source = randomSource(CONFIG, 'f32', 1);
  const weights = new Map<string, Weight>();
  for (const { name } of modelTensors(CONFIG)) {
    const tensor = await source.tensor(name);
    if (tensor.dtype !== 'f32') throw new Error(`${name}: expected f32, got ${tensor.dtype}`);
    weights.set(name, { shape: tensor.shape, data: new Float32Array(tensor.data) });
  }
  const layout = adapterLayout(CONFIG, LORA);
  const adapter = initAdapter(layout, 2);
  for (const { matrix, shape, offset } of layout.tensors) {
    const end = offset + shape[0] * shape[1];
    if (matrix === 'B') for (let i = offset; i < end; i++) adapter[i] = 0.04 * (uniform(3, i) - 0.5);
  }
  const [batch, seq] = [16, 32];
  const token = (row: number, t: number) => Math.floor(uniform(4, row * (seq + 1) + t) * CONFIG.vocabSize);
  const ids = Array.from({ length: batch }, (_, row) => Array.from({ length: seq + 1 }, (__, t) => token(row, t)));
  return { config: CONFIG, lora: LORA, layout, weights, adapter, batch, seq, ids, learningRate: 1e-2 };
}

/** The batch as our trainer takes it: every token but the first is a label. */
export function tokenizedExamples({ ids }: StepTask): TokenizedExample[] {
  return ids.map((row) => ({ inputIds: row, labels: row }));
}

/** A weight by name. Throws RangeError when there is none. */
export function weightNamed({ weights }: StepTask, name: string): Weight {
  const weight = weights.get(name);
  if (!weight) throw new RangeError(`no weight ${name}`);
  return weight;
}

/** The layer's linear of that name, e.g. (0, 'q_proj'). */
export function linearName(layer: number, target: (typeof LORA_TARGETS)[number]): string {
  const block = target === 'gate_proj' || target === 'up_proj' || target === 'down_proj' ? 'mlp' : 'self_attn';
  return `model.layers.${layer}.${block}.${target}.weight`;
}
