// Llama with LoRA in TensorFlow.js ops, gradients by tf.variableGrads of the adapter alone, and its own Adam.
import type { WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu';
import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-core/dist/register_all_gradients';
import { LORA_TARGETS, type LoraTarget } from '../../../../src/lora/layout.ts';
import { ropeInverseFrequencies } from '../../../../src/ops/rope.ts';
import { ADAMW } from '../../../../src/train/optimizer.ts';
import { flushed } from '../matmul/tfjs.ts';
import type { Stepper } from './stepper.ts';
import { linearName, type StepTask, weightNamed } from './task.ts';

/** One linear: W (inputs, outputs), A (rank, inputs), B (outputs, rank). */
interface Linear {
  readonly w: tf.Tensor2D;
  readonly a: tf.Variable<tf.Rank.R2>;
  readonly b: tf.Variable<tf.Rank.R2>;
}
interface Layer {
  readonly inputNorm: tf.Tensor;
  readonly postAttentionNorm: tf.Tensor;
  readonly linears: Readonly<Record<LoraTarget, Linear>>;
}
interface Net {
  readonly task: StepTask;
  readonly layers: readonly Layer[];
  readonly embedding: tf.Tensor2D;
  readonly finalNorm: tf.Tensor;
  readonly lmHead: tf.Tensor2D; // (dim, vocab)
  readonly inputs: tf.Tensor1D; // (batch · seq)
  readonly targets: tf.Tensor; // one-hot, (batch · seq, vocab)
  readonly cos: tf.Tensor; // (1, 1, seq, headDim)
  readonly sin: tf.Tensor;
  readonly mask: tf.Tensor; // (seq, seq), 0 or −1e9
}

export async function openTfjsStep(backend: WebGPUBackend, task: StepTask): Promise<Stepper> {
  const net = buildNet(task);
  const variables = net.layers.flatMap(({ linears }) => LORA_TARGETS.flatMap((t) => [linears[t].a, linears[t].b]));
  const optimizer = tf.train.adam(task.learningRate, ADAMW.beta1, ADAMW.beta2, ADAMW.eps);
  return {
    async step() {
      const { value, grads } = tf.variableGrads(() => lossOf(net), variables);
      optimizer.applyGradients(Object.entries(grads).map(([name, tensor]) => ({ name, tensor })));
      tf.dispose(grads);
      await flushed(backend);
      const [loss = Number.NaN] = await value.data();
      value.dispose();
      return loss;
    },
    destroy() {
      optimizer.dispose();
      tf.disposeVariables();
    },
  };
}

function buildNet(task: StepTask): Net {
  const { config, seq, ids } = task;
  const matrix = (name: string) => {
    const { data, shape } = weightNamed(task, name);
    return tf.tensor2d(data, [shape[0] ?? 0, shape[1] ?? 0]);
  };
  const transposed = (name: string) => tf.transpose(matrix(name));
  const vector = (name: string) => tf.tensor1d(weightNamed(task, name).data);
  const layers = Array.from({ length: config.layers }, (_, layer) => ({
    inputNorm: vector(`model.layers.${layer}.input_layernorm.weight`),
    postAttentionNorm: vector(`model.layers.${layer}.post_attention_layernorm.weight`),
    linears: Object.fromEntries(
      LORA_TARGETS.map((target) => {
        const w = transposed(linearName(layer, target));
        return [target, { w, a: loraVariable(task, layer, target, 'A'), b: loraVariable(task, layer, target, 'B') }];
      }),
    ) as Record<LoraTarget, Linear>, // one entry for each of LORA_TARGETS
  }));
  const frequencies = ropeInverseFrequencies(config);
  const angles = Array.from({ length: seq }, (_, t) => Array.from(frequencies, (f) => t * f)).map((a) => [...a, ...a]);
  const rotation = (f: (x: number) => number) =>
    tf.tensor4d(angles.flat().map(f), [1, 1, seq, config.headDim], 'float32');
  const flat = (from: number) => Int32Array.from(ids.flatMap((row) => row.slice(from, from + seq)));
  return {
    task,
    layers,
    embedding: matrix('model.embed_tokens.weight'),
    finalNorm: vector('model.norm.weight'),
    lmHead: transposed('lm_head.weight'),
    inputs: tf.tensor1d(flat(0), 'int32'),
    targets: tf.oneHot(tf.tensor1d(flat(1), 'int32'), config.vocabSize, 1, 0, 'float32'),
    cos: rotation(Math.cos),
    sin: rotation(Math.sin),
    mask: tf.tensor2d(
      Array.from({ length: seq * seq }, (_, i) => (i % seq <= Math.floor(i / seq) ? 0 : -1e9)),
      [seq, seq],
    ),
  };
}

function loraVariable({ layout, adapter }: StepTask, layer: number, target: LoraTarget, matrix: 'A' | 'B') {
  const found = layout.tensors.find((t) => t.layer === layer && t.target === target && t.matrix === matrix);
  if (!found) throw new RangeError(`no ${matrix} for ${target} in layer ${layer}`);
  const [rows, cols] = found.shape;
  return tf.variable(tf.tensor2d(adapter.slice(found.offset, found.offset + rows * cols), [rows, cols]));
}

/** Mean cross-entropy over all tokens. */
function lossOf(net: Net): tf.Scalar {
  const { batch, seq } = net.task;
  let x: tf.Tensor2D = tf.gather(net.embedding, net.inputs);
  for (const layer of net.layers) {
    x = tf.add(x, attention(net, layer, norm(net, x, layer.inputNorm)));
    const h = norm(net, x, layer.postAttentionNorm);
    const gate = linear(net, layer, 'gate_proj', h);
    const active: tf.Tensor2D = tf.mul(tf.mul(gate, tf.sigmoid(gate)), linear(net, layer, 'up_proj', h));
    x = tf.add(x, linear(net, layer, 'down_proj', active));
  }
  const logits = tf.matMul(norm(net, x, net.finalNorm), net.lmHead);
  return tf.mul(tf.sum<tf.Scalar>(tf.mul(tf.logSoftmax(logits), net.targets)), -1 / (batch * seq));
}

/** x / sqrt(mean(x²) + eps) · weight */
function norm({ task }: Net, x: tf.Tensor2D, weight: tf.Tensor): tf.Tensor2D {
  const scale = tf.rsqrt(tf.add(tf.mean(tf.square(x), -1, true), task.config.rmsNormEps));
  return tf.mul(tf.mul(x, scale), weight);
}

/** x·W + alpha/rank · (x·Aᵀ)·Bᵀ */
function linear({ task }: Net, layer: Layer, target: LoraTarget, x: tf.Tensor2D): tf.Tensor2D {
  const { w, a, b } = layer.linears[target];
  const low = tf.matMul(tf.matMul(x, a, false, true), b, false, true);
  return tf.add(tf.matMul(x, w), tf.mul(low, task.lora.alpha / task.lora.rank));
}

function attention(net: Net, layer: Layer, h: tf.Tensor2D): tf.Tensor2D {
  const { batch, seq, config } = net.task;
  const { heads, headDim } = config;
  const split = (x: tf.Tensor2D): tf.Tensor4D =>
    tf.transpose(tf.reshape<tf.Rank.R4>(x, [batch, seq, heads, headDim]), [0, 2, 1, 3]);
  const q = rotate(net, split(linear(net, layer, 'q_proj', h)));
  const k = rotate(net, split(linear(net, layer, 'k_proj', h)));
  const v = split(linear(net, layer, 'v_proj', h));
  const scores = tf.mul(tf.matMul(q, k, false, true), 1 / Math.sqrt(headDim));
  const out = tf.matMul(tf.softmax<tf.Tensor4D>(tf.add(scores, net.mask)), v);
  const joined = tf.reshape<tf.Rank.R2>(tf.transpose(out, [0, 2, 1, 3]), [batch * seq, heads * headDim]);
  return linear(net, layer, 'o_proj', joined);
}

/** Rotary embedding in the half-split convention. */
function rotate({ cos, sin }: Net, x: tf.Tensor4D): tf.Tensor4D {
  const [low, high] = tf.split(x, 2, -1) as [tf.Tensor4D, tf.Tensor4D];
  return tf.add(tf.mul(x, cos), tf.mul(tf.concat([tf.neg(high), low], -1), sin));
}
