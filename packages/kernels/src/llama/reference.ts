import type { AdapterLayout, LoraTarget } from '../lora/layout.ts';
import { ropeInverseFrequencies } from '../ops/rope.ts';
import type { LlamaConfig } from './config.ts';
import type { TensorData } from './source.ts';

/** Weights by Hugging Face's names, row-major, as the engine would dequantise them. */
export type ReferenceWeights = ReadonlyMap<string, Float64Array>;

type Matrix = readonly Float64Array[]; // rows

/**
 * Llama with LoRA (arXiv 2302.13971, 2106.09685) in plain float64 on the CPU, for comparison with the GPU on tiny models.
 * Returns the mean loss in nats per label of one sequence: `inputIds` (tokens), `labels` (tokens), −100 where not learned.
 */
export function referenceLoss(
  config: LlamaConfig,
  weights: ReferenceWeights,
  adapter: { readonly layout: AdapterLayout; readonly vector: ArrayLike<number> },
  { inputIds, labels }: { readonly inputIds: ArrayLike<number>; readonly labels: ArrayLike<number> },
): number {
  const { hiddenSize: dim, heads, kvHeads, headDim } = config;
  const get = (name: string): Float64Array => {
    const found = weights.get(name);
    if (!found) throw new RangeError(`the reference has no weight ${name}`);
    return found;
  };
  const embedding = get('model.embed_tokens.weight');
  let x: Matrix = Array.from(inputIds, (id) => embedding.slice(id * dim, (id + 1) * dim));
  for (let layer = 0; layer < config.layers; layer++) {
    const linear = (target: LoraTarget, input: Matrix): Matrix => {
      const block = ['gate_proj', 'up_proj', 'down_proj'].includes(target) ? 'mlp' : 'self_attn';
      const base = multiply(input, get(`model.layers.${layer}.${block}.${target}.weight`));
      return add(base, adapterOutput(adapter, layer, target, input));
    };
    const norm = (name: string, input: Matrix) => rmsnorm(input, get(`model.layers.${layer}.${name}.weight`), config);
    const h = norm('input_layernorm', x);
    const q = rope(linear('q_proj', h), config);
    const k = rope(linear('k_proj', h), config);
    const out = attend(q, k, linear('v_proj', h), { heads, kvHeads, headDim });
    x = add(x, linear('o_proj', out));
    const h2 = norm('post_attention_layernorm', x);
    const gate = linear('gate_proj', h2);
    const up = linear('up_proj', h2);
    const active = gate.map((row, t) => row.map((g, i) => (g / (1 + Math.exp(-g))) * at(up, t, i)));
    x = add(x, linear('down_proj', active));
  }
  const head = get(config.tiedEmbeddings ? 'model.embed_tokens.weight' : 'lm_head.weight');
  const logits = multiply(rmsnorm(x, get('model.norm.weight'), config), head);
  let loss = 0;
  let count = 0;
  for (let t = 0; t + 1 < inputIds.length; t++) {
    const label = labels[t + 1] ?? -100;
    if (label < 0) continue;
    const row = logits[t] ?? new Float64Array();
    const largest = Math.max(...row);
    loss += Math.log(row.reduce((sum, value) => sum + Math.exp(value - largest), 0)) + largest - (row[label] ?? 0);
    count += 1;
  }
  return loss / count;
}

/** The numbers that a stored tensor stands for. */
export function dequantise(tensor: TensorData): Float64Array {
  if (tensor.dtype === 'f32') return Float64Array.from(tensor.data);
  const cols = tensor.shape[1];
  return Float64Array.from(tensor.q, (q, i) => q * (tensor.scale[Math.floor(i / cols)] ?? 0));
}

const at = (m: Matrix, row: number, column: number): number => m[row]?.[column] ?? 0;
const add = (a: Matrix, b: Matrix): Matrix => a.map((row, t) => row.map((value, i) => value + at(b, t, i)));

/** x (tokens, inputs) · wᵀ, w (outputs, inputs). */
function multiply(x: Matrix, w: ArrayLike<number>): Matrix {
  return x.map((row) => {
    const y = new Float64Array(w.length / row.length);
    for (let n = 0; n < y.length; n++) {
      let sum = 0;
      for (let k = 0; k < row.length; k++) sum += (row[k] ?? 0) * (w[n * row.length + k] ?? 0);
      y[n] = sum;
    }
    return y;
  });
}

/** (alpha / rank) · B(A(x)); zeros for a target without an adapter. */
function adapterOutput(
  { layout, vector }: { readonly layout: AdapterLayout; readonly vector: ArrayLike<number> },
  layer: number,
  target: LoraTarget,
  x: Matrix,
): Matrix {
  const matrix = (which: 'A' | 'B'): Float64Array => {
    const tensor = layout.tensors.find((t) => t.layer === layer && t.target === target && t.matrix === which);
    const [rows, cols] = tensor?.shape ?? [0, 0];
    return Float64Array.from({ length: rows * cols }, (_, i) => vector[(tensor?.offset ?? 0) + i] ?? 0);
  };
  const [a, b] = [matrix('A'), matrix('B')];
  const { alpha, rank } = layout.config;
  if (a.length === 0) return [];
  return multiply(multiply(x, a), b).map((row) => row.map((value) => (value * alpha) / rank));
}

function rmsnorm(x: Matrix, weight: Float64Array, { rmsNormEps }: LlamaConfig): Matrix {
  return x.map((row) => {
    const r = 1 / Math.sqrt(row.reduce((sum, value) => sum + value * value, 0) / row.length + rmsNormEps);
    return row.map((value, i) => value * r * (weight[i] ?? 0));
  });
}

/** Rotates the pairs (d, d + headDim / 2) of every head by position · inverse frequency. */
function rope(x: Matrix, config: LlamaConfig): Matrix {
  const { headDim } = config;
  const half = headDim / 2;
  const inverseFrequency = ropeInverseFrequencies(config);
  return x.map((row, t) =>
    row.map((value, i) => {
      const d = i % headDim;
      const angle = t * (inverseFrequency[d % half] ?? 0);
      const other = d < half ? -(row[i + half] ?? 0) : (row[i - half] ?? 0);
      return value * Math.cos(angle) + other * Math.sin(angle);
    }),
  );
}

/** Causal grouped-query attention: (tokens, heads · headDim). */
function attend(
  q: Matrix,
  k: Matrix,
  v: Matrix,
  { heads, kvHeads, headDim }: { readonly heads: number; readonly kvHeads: number; readonly headDim: number },
): Matrix {
  return q.map((_, t) => {
    const out = new Float64Array(heads * headDim);
    for (let head = 0; head < heads; head++) {
      const group = Math.floor(head / (heads / kvHeads));
      const scores = Array.from({ length: t + 1 }, (_unused, j) => {
        let dot = 0;
        for (let d = 0; d < headDim; d++) dot += at(q, t, head * headDim + d) * at(k, j, group * headDim + d);
        return dot / Math.sqrt(headDim);
      });
      const largest = Math.max(...scores);
      const e = scores.map((score) => Math.exp(score - largest));
      const sum = e.reduce((total, value) => total + value, 0);
      for (let d = 0; d < headDim; d++) {
        out[head * headDim + d] = e.reduce((total, p, j) => total + (p / sum) * at(v, j, group * headDim + d), 0);
      }
    }
    return out;
  });
}
