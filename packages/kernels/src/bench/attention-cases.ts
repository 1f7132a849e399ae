import type { Arena } from '../gpu/buffers.ts';
import type { Gpu } from '../gpu/device.ts';
import { attentionBackward, attentionForward } from '../ops/attention.ts';
import { FLASH_HEAD_DIM, flashAttentionBackward, flashAttentionForward } from '../ops/flash_attention.ts';
import type { Geometry } from './geometry.ts';
import type { KernelCase, Tensors } from './kernel-cases.ts';

/**
 * Attention, forward and backward. FLOPs are those of causal attention, where half of the scores exist: two products
 * forward and four backward. What is computed beyond that (masked scores, recomputed ones) shows as a smaller share.
 */
export function attentionCases(gpu: Gpu, arena: Arena, geometry: Geometry, tensors: Tensors): KernelCase[] {
  const { batch, seq, heads, kvHeads, headDim } = geometry;
  const shapeOf = { batch, seq, heads, kvHeads, headDim };
  const { x: q, y: k, gate: v, up: dout, noise } = tensors;
  const tokens = batch * seq;
  const segments = arena.alloc('segments', tokens);
  const width = heads * headDim;
  const out = noise.floats('attention', tokens * width);
  const grads = {
    dq: noise.floats('dq', tokens * width),
    dk: noise.floats('dk', tokens * kvHeads * headDim),
    dv: noise.floats('dv', tokens * kvHeads * headDim),
  };
  const flops = 2 * batch * heads * seq * seq * headDim;
  const bytes = 4 * tokens * width;
  const shape = `${batch}×${seq}, ${heads} heads of ${headDim}`;
  const peak = 'f32_gflops' as const;
  const cases: KernelCase[] = [];
  const probabilities = batch * heads * seq * seq;
  const limit = Math.min(gpu.device.limits.maxBufferSize, gpu.device.limits.maxStorageBufferBindingSize);
  if (4 * probabilities <= limit) {
    const probs = arena.alloc('attention probabilities', probabilities);
    const dprobs = arena.alloc('dprobs', probabilities);
    cases.push(
      {
        name: 'attention_forward',
        shape,
        flops,
        bytes: 4 * bytes,
        peak,
        record: (b) => attentionForward(b, { q, k, v, segments, probs, out, ...shapeOf }),
      },
      {
        name: 'attention_backward',
        shape,
        flops: 2 * flops,
        bytes: 7 * bytes,
        peak,
        record: (b) => attentionBackward(b, { q, k, v, segments, probs, dout, dprobs, ...grads, ...shapeOf }),
      },
    );
  }
  if (headDim <= FLASH_HEAD_DIM) {
    const lse = arena.alloc('lse', tokens * heads);
    const flash = { q, k, v, segments, out, lse, ...shapeOf };
    const backward = { ...flash, dout, delta: arena.alloc('delta', 2 * tokens * heads), ...grads };
    cases.push(
      {
        name: 'flash_attention_forward',
        shape,
        flops,
        bytes: 4 * bytes,
        peak,
        record: (b) => flashAttentionForward(b, flash),
      },
      {
        name: 'flash_attention_backward',
        shape,
        flops: 2 * flops,
        bytes: 8 * bytes,
        peak,
        record: (b) => flashAttentionBackward(b, backward),
      },
    );
  }
  return cases;
}
