import type { BufferView } from '../gpu/buffers.ts';
import { attentionBackward, attentionForward, attentionProbabilities } from '../ops/attention.ts';
import { flashAttentionBackward, flashAttentionForward } from '../ops/flash_attention.ts';
import type { Gradients, LayerSaves } from './activations.ts';
import type { Pass } from './forward.ts';
import { attentionRows } from './plan-capacity.ts';

/** saves.q, k, v → saves.attention, within segments and causally. */
export function recordAttention(pass: Pass, saves: LayerSaves): void {
  const { b, acts } = pass;
  if (pass.attention === 'flash') {
    const { q, k, v, lse, attention: out } = saves;
    flashAttentionForward(b, { q, k, v, segments: acts.segments, out, lse, ...wholeBatch(pass) });
    return;
  }
  for (const { sizes, of } of pieces(pass)) {
    const { q, k, v } = of.views(saves);
    const out = of.queries(saves.attention);
    attentionForward(b, { q, k, v, segments: of.scalars(acts.segments), probs: acts.probs, out, ...sizes });
  }
}

/** gradients.dattention → dq, dk, dv. The probabilities are made once more: kept for every layer they would fill the memory. */
export function recordAttentionBackward(pass: Pass, saves: LayerSaves, gradients: Gradients): void {
  const { b, acts } = pass;
  const { probs } = acts;
  const { dprobs } = gradients;
  if (pass.attention === 'flash') {
    const { q, k, v, lse, attention: out } = saves;
    const { dattention: dout, delta, dq, dk, dv } = gradients;
    const views = { q, k, v, segments: acts.segments, out, lse, dout, delta, dq, dk, dv };
    flashAttentionBackward(b, { ...views, ...wholeBatch(pass) });
    return;
  }
  for (const { sizes, of } of pieces(pass)) {
    const { q, k, v } = of.views(saves);
    const segments = of.scalars(acts.segments);
    const [dq, dk, dv] = [of.queries(gradients.dq), of.keys(gradients.dk), of.keys(gradients.dv)];
    const dout = of.queries(gradients.dattention);
    attentionProbabilities(b, { q, k, segments, probs, ...sizes });
    attentionBackward(b, { q, k, v, segments, probs, dout, dprobs, dq, dk, dv, ...sizes });
  }
}

function wholeBatch({ model, shape: { batch, seq } }: Pass) {
  const { heads, kvHeads, headDim } = model.config;
  return { batch, seq, heads, kvHeads, headDim };
}

/** The rows of the batch whose attention matrices are in memory at the same time, and their parts of a tensor. */
function pieces(pass: Pass) {
  const { model, shape } = pass;
  const { batch, seq, heads, kvHeads, headDim } = wholeBatch(pass);
  const most = attentionRows(model.config, shape, model.gpu.device.limits.maxStorageBufferBindingSize);
  return Array.from({ length: Math.ceil(batch / most) }, (_, i) => {
    const start = i * most;
    const count = Math.min(most, batch - start);
    const rowsOf = (view: BufferView, width: number): BufferView => {
      const rowBytes = seq * width * 4;
      return { buffer: view.buffer, offset: view.offset + start * rowBytes, size: count * rowBytes };
    };
    const queries = (view: BufferView) => rowsOf(view, heads * headDim);
    const keys = (view: BufferView) => rowsOf(view, kvHeads * headDim);
    const views = ({ q, k, v }: LayerSaves) => ({ q: queries(q), k: keys(k), v: keys(v) });
    const of = { queries, keys, views, scalars: (view: BufferView) => rowsOf(view, 1) };
    return { sizes: { batch: count, seq, heads, kvHeads, headDim }, of };
  });
}
