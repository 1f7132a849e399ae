// Llama with LoRA in jax-js: one jitted function takes the step, gradients by valueAndGrad of the adapter alone.
// jax-js functions take their arguments over; `.ref` keeps one for another use.
import {
  blockUntilReady,
  getWebGPUDevice,
  type Array as Jax,
  jit,
  nn,
  numpy as np,
  tree,
  valueAndGrad,
} from '@jax-js/jax';
import { LORA_TARGETS } from '../../../../src/lora/layout.ts';
import { ropeInverseFrequencies } from '../../../../src/ops/rope.ts';
import { ADAMW } from '../../../../src/train/optimizer.ts';
import { finished } from '../matmul/contestant.ts';
import type { Stepper } from './stepper.ts';
import { linearName, type StepTask, weightNamed } from './task.ts';

type FrozenLayer = {
  inputNorm: Jax;
  postAttentionNorm: Jax;
  w: Jax[]; // (outputs, inputs), in LORA_TARGETS' order
};
type Frozen = {
  layers: FrozenLayer[];
  embedding: Jax;
  finalNorm: Jax;
  lmHead: Jax;
  inputs: Jax; // (batch · seq)
  targets: Jax; // one-hot, (batch · seq, vocab)
  cos: Jax; // (1, 1, seq, headDim)
  sin: Jax;
  mask: Jax; // (seq, seq), 0 or −1e9
};
/** The adapter's matrices in the layout's order: for every layer and target A (rank, inputs), then B (outputs, rank). */
type State = { lora: Jax[]; m: Jax[]; v: Jax[] };
/** 1 / (1 − β^t) of AdamW's two moments. */
type Corrections = { first: Jax; second: Jax };

export async function openJaxStep(task: StepTask): Promise<Stepper> {
  const frozen = buildFrozen(task);
  const { tensors } = task.layout;
  const zeros = () => tensors.map(({ shape }) => np.zeros([...shape]));
  let state: State = {
    lora: tensors.map(({ offset, shape }) => {
      return np.array(task.adapter.slice(offset, offset + shape[0] * shape[1]), { shape: [...shape] });
    }),
    m: zeros(),
    v: zeros(),
  };
  const lossAndGradients = valueAndGrad((lora: Jax[], fixed: Frozen) => lossOf(task, lora, fixed));
  const train = jit((before: State, corrections: Corrections, fixed: Frozen) => {
    const [loss, gradients] = lossAndGradients(tree.ref(before.lora), fixed) as [Jax, Jax[]];
    return { loss, state: adamw(before, gradients, corrections, task.learningRate) };
  });
  let t = 0;
  return {
    async step() {
      t += 1;
      const corrections = {
        first: np.array([1 / (1 - ADAMW.beta1 ** t)]),
        second: np.array([1 / (1 - ADAMW.beta2 ** t)]),
      };
      const after = train(state, corrections, tree.ref(frozen));
      state = after.state;
      await blockUntilReady(after);
      await finished(getWebGPUDevice());
      const [loss = Number.NaN] = await after.loss.data();
      return loss;
    },
    destroy() {
      tree.dispose(state);
      tree.dispose(frozen);
    },
  };
}

function buildFrozen(task: StepTask): Frozen {
  const { config, seq, ids } = task;
  const weight = (name: string) => {
    const { data, shape } = weightNamed(task, name);
    return np.array(data, { shape: [...shape] });
  };
  const frequencies = ropeInverseFrequencies(config);
  const angles = Array.from({ length: seq }, (_, t) => Array.from(frequencies, (f) => t * f)).flatMap((a) => [
    ...a,
    ...a,
  ]);
  const rotation = (f: (x: number) => number) =>
    np.array(Float32Array.from(angles, f), { shape: [1, 1, seq, config.headDim] });
  const flat = (from: number) => np.array(Int32Array.from(ids.flatMap((row) => row.slice(from, from + seq))));
  const mask = Float32Array.from({ length: seq * seq }, (_, i) => (i % seq <= Math.floor(i / seq) ? 0 : -1e9));
  return {
    layers: Array.from({ length: config.layers }, (_, layer) => ({
      inputNorm: weight(`model.layers.${layer}.input_layernorm.weight`),
      postAttentionNorm: weight(`model.layers.${layer}.post_attention_layernorm.weight`),
      w: LORA_TARGETS.map((target) => weight(linearName(layer, target))),
    })),
    embedding: weight('model.embed_tokens.weight'),
    finalNorm: weight('model.norm.weight'),
    lmHead: weight('lm_head.weight'),
    inputs: flat(0),
    targets: nn.oneHot(flat(1), config.vocabSize),
    cos: rotation(Math.cos),
    sin: rotation(Math.sin),
    mask: np.array(mask, { shape: [seq, seq] }),
  };
}

/** Mean cross-entropy over all tokens. */
function lossOf(task: StepTask, lora: Jax[], fixed: Frozen): Jax {
  const { config, batch, seq } = task;
  let x = np.take(fixed.embedding, fixed.inputs, 0);
  fixed.layers.forEach(({ inputNorm, postAttentionNorm, w }, layer) => {
    const at = layer * 2 * LORA_TARGETS.length;
    /** x·Wᵀ + alpha/rank · (x·Aᵀ)·Bᵀ of the layer's i-th linear. */
    const linear = (i: number, input: Jax): Jax => {
      const [weight, a, b] = [w[i], lora[at + 2 * i], lora[at + 2 * i + 1]];
      if (!weight || !a || !b) throw new RangeError(`layer ${layer} has no linear ${i}`);
      const low = np.matmul(np.matmul(input.ref, a.transpose()), b.transpose());
      return np.matmul(input, weight.transpose()).add(low.mul(task.lora.alpha / task.lora.rank));
    };
    const h = norm(x.ref, inputNorm, config.rmsNormEps);
    x = x.add(attention(task, fixed, linear, h));
    const middle = norm(x.ref, postAttentionNorm, config.rmsNormEps);
    const gate = linear(4, middle.ref);
    x = x.add(linear(6, nn.silu(gate).mul(linear(5, middle))));
  });
  const logits = np.matmul(norm(x, fixed.finalNorm, config.rmsNormEps), fixed.lmHead.transpose());
  tree.dispose([fixed.cos, fixed.sin, fixed.mask]);
  return np.sum(nn.logSoftmax(logits).mul(fixed.targets)).mul(-1 / (batch * seq));
}

/** x / sqrt(mean(x²) + eps) · weight */
function norm(x: Jax, weight: Jax, eps: number): Jax {
  const mean = np.mean(np.square(x.ref), -1, { keepdims: true });
  return x.div(np.sqrt(mean.add(eps))).mul(weight);
}

function attention({ config, batch, seq }: StepTask, fixed: Frozen, linear: (i: number, x: Jax) => Jax, h: Jax): Jax {
  const { heads, headDim } = config;
  const split = (x: Jax) => x.reshape([batch, seq, heads, headDim]).transpose([0, 2, 1, 3]);
  const rotate = (x: Jax): Jax => {
    const low = x.ref.slice([], [], [], [0, headDim / 2]);
    const high = x.ref.slice([], [], [], [headDim / 2, headDim]);
    return x.mul(fixed.cos.ref).add(np.concatenate([high.neg(), low], -1).mul(fixed.sin.ref));
  };
  const q = rotate(split(linear(0, h.ref)));
  const k = rotate(split(linear(1, h.ref)));
  const v = split(linear(2, h));
  const scores = np.matmul(q, k.transpose([0, 1, 3, 2])).mul(1 / Math.sqrt(headDim));
  const out = np.matmul(nn.softmax(scores.add(fixed.mask.ref)), v);
  return linear(3, out.transpose([0, 2, 1, 3]).reshape([batch * seq, heads * headDim]));
}

function adamw({ lora, m, v }: State, gradients: Jax[], corrections: Corrections, rate: number): State {
  const after: State = { lora: [], m: [], v: [] };
  gradients.forEach((g, i) => {
    const [p, first, second] = [lora[i], m[i], v[i]];
    if (!p || !first || !second) throw new RangeError(`no state for gradient ${i}`);
    const mean = first.mul(ADAMW.beta1).add(g.ref.mul(1 - ADAMW.beta1));
    const square = second.mul(ADAMW.beta2).add(np.square(g).mul(1 - ADAMW.beta2));
    const scale = np.sqrt(square.ref.mul(corrections.second.ref)).add(ADAMW.eps);
    after.lora.push(p.sub(mean.ref.mul(corrections.first.ref).div(scale).mul(rate)));
    after.m.push(mean);
    after.v.push(square);
  });
  tree.dispose(corrections);
  return after;
}
