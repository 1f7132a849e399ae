import type { LlamaConfig } from '../src/llama/config.ts';
import type { AdapterLayout } from '../src/lora/layout.ts';
import type { TokenizedExample } from '../src/train/batch.ts';

// A Llama with LoRA in float64, from the papers (arXiv 2302.13971, 2106.09685), plain and slow. It shares no code with the
// engine but the names of the tensors.
type Matrix = { readonly rows: number; readonly data: ArrayLike<number> };

export interface ReferenceModel {
  readonly config: LlamaConfig;
  readonly weight: (name: string) => ArrayLike<number>;
  readonly layout: AdapterLayout;
}

/** Mean loss in nats over all labelled tokens, each example run by itself. */
export function referenceLoss(
  model: ReferenceModel,
  adapter: ArrayLike<number>,
  batch: readonly TokenizedExample[],
): number {
  let sum = 0;
  let count = 0;
  for (const { inputIds, labels } of batch) {
    const x = hiddenStates(model, adapter, Array.from(inputIds));
    const head = model.config.tiedEmbeddings ? 'model.embed_tokens.weight' : 'lm_head.weight';
    for (let t = 1; t < labels.length; t++) {
      const label = labels[t] ?? -100;
      if (label < 0) continue;
      const logits = times({ rows: model.config.vocabSize, data: model.weight(head) }, x[t - 1] ?? []);
      const largest = Math.max(...logits);
      sum +=
        largest + Math.log(logits.reduce((all, z) => all + Math.exp(z - largest), 0)) - (logits[label] ?? Number.NaN);
      count += 1;
    }
  }
  return sum / count;
}

function hiddenStates(model: ReferenceModel, adapter: ArrayLike<number>, ids: readonly number[]): number[][] {
  const { config, weight } = model;
  const { hiddenSize, heads, kvHeads, headDim, rmsNormEps } = config;
  const embedding = weight('model.embed_tokens.weight');
  const x = ids.map((id) => Array.from({ length: hiddenSize }, (_, d) => embedding[id * hiddenSize + d] ?? Number.NaN));
  const norm = (row: number[], name: string) => {
    const scale = 1 / Math.sqrt(row.reduce((sum, value) => sum + value * value, 0) / row.length + rmsNormEps);
    const gain = weight(name);
    return row.map((value, d) => value * scale * (gain[d] ?? Number.NaN));
  };
  for (let layer = 0; layer < config.layers; layer++) {
    const at = `model.layers.${layer}`;
    const linear = (name: string) => linearWithLora(model, adapter, `${at}.${name}`);
    const [qOf, kOf, vOf, oOf] = ['q', 'k', 'v', 'o'].map((p) => linear(`self_attn.${p}_proj`)) as [
      Apply,
      Apply,
      Apply,
      Apply,
    ];
    const normed = x.map((row) => norm(row, `${at}.input_layernorm.weight`));
    const q = normed.map((row, t) => rotate(qOf(row), t, config));
    const k = normed.map((row, t) => rotate(kOf(row), t, config));
    const v = normed.map(vOf);
    x.forEach((row, i) => {
      const attended: number[] = [];
      for (let head = 0; head < heads; head++) {
        const shared = Math.floor(head / (heads / kvHeads)) * headDim;
        const scores: number[] = [];
        for (let j = 0; j <= i; j++) {
          let score = 0;
          for (let d = 0; d < headDim; d++) score += (q[i]?.[head * headDim + d] ?? 0) * (k[j]?.[shared + d] ?? 0);
          scores.push(score / Math.sqrt(headDim));
        }
        const largest = scores.reduce((a, b) => Math.max(a, b));
        const weights = scores.map((score) => Math.exp(score - largest));
        const total = weights.reduce((a, b) => a + b);
        for (let d = 0; d < headDim; d++)
          attended.push(weights.reduce((sum, p, j) => sum + p * (v[j]?.[shared + d] ?? 0), 0) / total);
      }
      add(row, oOf(attended));
    });
    const [gate, up, down] = ['gate', 'up', 'down'].map((p) => linear(`mlp.${p}_proj`)) as [Apply, Apply, Apply];
    for (const row of x) {
      const h = norm(row, `${at}.post_attention_layernorm.weight`);
      const ups = up(h);
      add(row, down(gate(h).map((g, n) => (g / (1 + Math.exp(-g))) * (ups[n] ?? Number.NaN))));
    }
  }
  return x.map((row) => norm(row, 'model.norm.weight'));
}

type Apply = (x: number[]) => number[];

/** W x + (alpha / rank) B (A x), where the adapter has this linear. */
function linearWithLora({ weight, layout }: ReferenceModel, adapter: ArrayLike<number>, name: string): Apply {
  const w = weight(`${name}.weight`);
  const part = (which: string): Matrix | undefined => {
    const tensor = layout.tensors.find((each) => each.name.includes(`${name}.lora_${which}.`));
    if (!tensor) return undefined;
    const data = Array.from(
      { length: tensor.shape[0] * tensor.shape[1] },
      (_, i) => adapter[tensor.offset + i] ?? Number.NaN,
    );
    return { rows: tensor.shape[0], data };
  };
  const [a, b] = [part('A'), part('B')];
  const scale = layout.config.alpha / layout.config.rank;
  return (x) => {
    const y = times({ rows: w.length / x.length, data: w }, x);
    if (a && b)
      add(
        y,
        times(b, times(a, x)).map((value) => scale * value),
      );
    return y;
  };
}

function times({ rows, data }: Matrix, x: readonly number[]): number[] {
  return Array.from({ length: rows }, (_, n) => {
    let sum = 0;
    for (let k = 0; k < x.length; k++) sum += (data[n * x.length + k] ?? Number.NaN) * (x[k] ?? Number.NaN);
    return sum;
  });
}

function add(x: number[], y: readonly number[]): void {
  for (let d = 0; d < x.length; d++) x[d] = (x[d] ?? Number.NaN) + (y[d] ?? Number.NaN);
}

/** Rope in Hugging Face's order, with the wavelengths of `rope_scaling` as its documentation words them. */
function rotate(x: readonly number[], position: number, { headDim, ropeTheta, ropeScaling }: LlamaConfig): number[] {
  const half = headDim / 2;
  return x.map((value, at) => {
    const d = at % headDim;
    const wavelength = 2 * Math.PI * ropeTheta ** ((d % half) / half);
    const angle = (2 * Math.PI * position) / stretched(wavelength, ropeScaling);
    const partner = d < half ? -(x[at + half] ?? 0) : (x[at - half] ?? 0);
    return value * Math.cos(angle) + partner * Math.sin(angle);
  });
}

function stretched(wavelength: number, scaling: LlamaConfig['ropeScaling']): number {
  if (scaling === null) return wavelength;
  if (scaling.type === 'linear') return wavelength * scaling.factor;
  const { factor, lowFreqFactor, highFreqFactor, originalMaxPositions } = scaling;
  if (wavelength < originalMaxPositions / highFreqFactor) return wavelength;
  if (wavelength > originalMaxPositions / lowFreqFactor) return wavelength * factor;
  const smooth = (originalMaxPositions / wavelength - lowFreqFactor) / (highFreqFactor - lowFreqFactor);
  return wavelength / ((1 - smooth) / factor + smooth);
}
