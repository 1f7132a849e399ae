import type { BufferView } from '../gpu/buffers.ts';
import type { LoraTarget } from '../lora/layout.ts';
import { scatterRows } from '../ops/gather_rows.ts';
import { rmsnormBackward, rmsnormForward } from '../ops/rmsnorm.ts';
import { ropeBackward } from '../ops/rope.ts';
import { swigluBackward, swigluForward } from '../ops/swiglu.ts';
import type { Gradients, LayerSaves } from './activations.ts';
import { eachLayer, linearContext, type Pass, recordLayerSaves, type UpperHalf, upperHalf } from './forward.ts';
import { linearBackward } from './linear.ts';
import { recordAttentionBackward } from './rows-attention.ts';
import { bringBack } from './saves.ts';
import type { LayerWeights } from './weights.ts';

/**
 * The forward pass of forward.ts, reversed: from gradients.dlabelX at acts.xOut (left there by head.ts) down to the
 * lowest adapter. Adapter gradients accumulate; the residual stream's gradient goes on in gradients.dx, for all tokens,
 * below the last attention.
 */
export function recordBackward(pass: Pass): void {
  const { gradients } = pass.acts;
  if (!gradients) throw new RangeError('these activations were made for the forward pass only');
  const targets = pass.adapter?.layout.config.targets ?? [];
  eachLayer(pass, 'down', (layer, weights, saves) => {
    const has = (...names: LoraTarget[]) => layer > 0 || names.some((name) => targets.includes(name));
    const below: Below = {
      active: has('q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj'),
      xMid: has('q_proj', 'k_proj', 'v_proj', 'o_proj'),
      attention: has('q_proj', 'k_proj', 'v_proj'),
      xIn: layer > 0,
    };
    const upper = upperHalf(pass, layer, saves);
    // The last layer's tensors are still there: no other layer came after it.
    if (pass.acts.keep === 'inputs' && !upper.gathered) recordLayerSaves(pass, layer, weights, saves);
    mlpBackward(pass, upper, layer, weights, saves, gradients, below);
    if (below.xMid) outputBackward(pass, upper, layer, saves, gradients, below);
    if (below.attention) attentionBackwardToInput(pass, layer, weights, saves, gradients, below);
  });
}

/** Whether anything at or below these points of a layer still needs a gradient. */
interface Below {
  readonly active: boolean;
  readonly xMid: boolean;
  readonly attention: boolean;
  readonly xIn: boolean;
}

/** xOut = xMid + down(silu(gate(h))·up(h)), h = RMSNorm(xMid): turns dx from d(xOut) into d(xMid). */
function mlpBackward(
  pass: Pass,
  upper: UpperHalf,
  layer: number,
  weights: LayerWeights,
  saves: LayerSaves,
  gradients: Gradients,
  below: Below,
): void {
  const { b, model, acts } = pass;
  const { hiddenSize: dim, intermediateSize, rmsNormEps: eps } = model.config;
  const { dh, dactive, dz } = gradients;
  const dx = upper.gathered ? gradients.dlabelX : gradients.dx;
  const { rows } = upper;
  const { gate, up, xMid } = saves;
  const { h, active } = acts;
  const length = rows * intermediateSize;
  const norm = { x: xMid, weight: weights.postAttentionNorm, rows, dim, eps };

  bringBack(pass, saves, ['xMid', 'gate', 'up'], rows);
  if (saves.z.down_proj) swigluForward(b, { gate, up, y: active, length });
  const down = { x: active, dy: dx, dx: dactive, dz, accumulate: false, below: below.active };
  linearBackward(upper, layer, 'down_proj', saves, down);
  if (!below.active) return;
  swigluBackward(b, { gate, up, dy: dactive, length });
  const [dgate, dup] = [gate, up];
  if (saves.z.up_proj || saves.z.gate_proj) rmsnormForward(b, { ...norm, y: h });
  const upGate = { x: h, dx: dh, dz, below: below.xMid };
  linearBackward(upper, layer, 'up_proj', saves, { ...upGate, dy: dup, accumulate: false });
  linearBackward(upper, layer, 'gate_proj', saves, { ...upGate, dy: dgate, accumulate: true });
  if (below.xMid) rmsnormBackward(b, { ...norm, dy: dh, dx, accumulate: true });
}

/** xMid = xIn + o(attention): from d(xMid) in dx to d(attention), and in the last layer from labelled rows to all tokens. */
function outputBackward(
  pass: Pass,
  upper: UpperHalf,
  layer: number,
  saves: LayerSaves,
  { dx, dattention, dlabelX, dlabelAttention, dz }: Gradients,
  below: Below,
): void {
  const { b, model, acts, shape } = pass;
  const { hiddenSize, heads, headDim } = model.config;
  const ends = upper.gathered ? { dy: dlabelX, dx: dlabelAttention } : { dy: dx, dx: dattention };
  if (saves.z.o_proj && !upper.gathered) bringBack(pass, saves, ['attention'], upper.rows);
  const linear = { x: upper.attention, ...ends, dz, accumulate: false, below: below.attention };
  linearBackward(upper, layer, 'o_proj', saves, linear);
  if (!upper.gathered || !below.attention) return;
  const spread = (from: BufferView, to: BufferView, dim: number): void => {
    b.clear({ ...to, size: shape.batch * shape.seq * dim * 4 });
    scatterRows(b, { dy: from, index: acts.labelIndex, dx: to, count: upper.rows, dim });
  };
  spread(dlabelAttention, dattention, heads * headDim);
  spread(dlabelX, dx, hiddenSize);
}

/** attention = Attention(rope(q(h)), rope(k(h)), v(h)), h = RMSNorm(xIn): from d(attention) on, dx becomes d(xIn). */
function attentionBackwardToInput(
  pass: Pass,
  layer: number,
  weights: LayerWeights,
  saves: LayerSaves,
  gradients: Gradients,
  below: Below,
): void {
  const { b, model, acts, shape } = pass;
  const { hiddenSize: dim, heads, kvHeads, headDim, rmsNormEps: eps } = model.config;
  const rows = shape.batch * shape.seq;
  const context = linearContext(pass, rows);
  const { xIn } = saves;
  const { h, positions } = acts;
  const { dx, dh, dq, dk, dv, dz } = gradients;
  const rope = { positions, inverseFrequency: model.inverseFrequency, rows, headDim };
  const norm = { x: xIn, weight: weights.inputNorm, rows, dim, eps };

  bringBack(pass, saves, pass.attention === 'flash' ? ['q', 'k', 'v', 'attention'] : ['q', 'k', 'v'], rows);
  recordAttentionBackward(pass, saves, gradients);
  ropeBackward(b, { x: dk, heads: kvHeads, ...rope });
  ropeBackward(b, { x: dq, heads, ...rope });
  if (saves.z.q_proj || saves.z.k_proj || saves.z.v_proj) rmsnormForward(b, { ...norm, y: h });
  const qkv = { x: h, dx: dh, dz, below: below.xIn };
  linearBackward(context, layer, 'v_proj', saves, { ...qkv, dy: dv, accumulate: false });
  linearBackward(context, layer, 'k_proj', saves, { ...qkv, dy: dk, accumulate: true });
  linearBackward(context, layer, 'q_proj', saves, { ...qkv, dy: dq, accumulate: true });
  if (below.xIn) rmsnormBackward(b, { ...norm, dy: dh, dx, accumulate: true });
}
