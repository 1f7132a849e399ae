import type { BufferView } from '../gpu/buffers.ts';
import type { ProgramBuilder } from '../gpu/program.ts';
import { addInPlace } from '../ops/add.ts';
import { attentionDecode, cacheWrite } from '../ops/attention_decode.ts';
import { embeddingForward } from '../ops/embedding.ts';
import { rmsnormForward } from '../ops/rmsnorm.ts';
import { ropeForward } from '../ops/rope.ts';
import { swigluForward } from '../ops/swiglu.ts';
import type { Activations } from './activations.ts';
import { eachLayer, layerInput } from './forward.ts';
import { recordLogits } from './head.ts';
import { type AdapterBuffers, linearForward } from './linear.ts';
import type { Model } from './weights.ts';

/** Keys and values of every position so far. */
export interface KeyValueCache {
  readonly layers: readonly { readonly k: BufferView; readonly v: BufferView }[]; // (maxSeq, kvHeads·headDim) each
  readonly scores: BufferView; // (heads, maxSeq), scratch
  readonly length: BufferView; // u32 (1): valid positions, the current one included
  readonly maxSeq: number;
}

export interface DecodePass {
  readonly b: ProgramBuilder;
  readonly model: Model;
  readonly adapter: AdapterBuffers | null;
  readonly acts: Activations;
  readonly cache: KeyValueCache;
}

/**
 * The forward pass of forward.ts for one token whose earlier keys and values are cached: reads acts.ids, positions and
 * cache.length, appends to the cache and leaves the token's logits (1, vocab) in acts.logits.
 */
export function recordDecode({ b, model, adapter, acts, cache }: DecodePass): void {
  const { hiddenSize: dim, intermediateSize, heads, kvHeads, headDim, rmsNormEps: eps } = model.config;
  const { h, active, positions } = acts;
  const { scores, length, maxSeq } = cache;
  const width = kvHeads * headDim;
  const rows = 1;
  const context = { b, model, adapter, dropout: null, rows };
  const rope = { positions, inverseFrequency: model.inverseFrequency, rows, headDim };

  embeddingForward(b, { ids: acts.ids, w: model.embedding, x: layerInput(acts, 0), rows });
  eachLayer({ model, acts }, 'up', (layer, weights, saves) => {
    const { xIn, q, k, v, attention, xMid, gate, up } = saves;
    const xOut = layerInput(acts, layer + 1);
    const { k: kCache, v: vCache } = cacheLayer(cache, layer);

    rmsnormForward(b, { x: xIn, weight: weights.inputNorm, y: h, rows, dim, eps });
    linearForward(context, layer, 'q_proj', saves, { x: h, y: q });
    linearForward(context, layer, 'k_proj', saves, { x: h, y: k });
    linearForward(context, layer, 'v_proj', saves, { x: h, y: v });
    ropeForward(b, { x: q, heads, ...rope });
    ropeForward(b, { x: k, heads: kvHeads, ...rope });
    cacheWrite(b, { kv: k, cache: kCache, length, width, maxSeq });
    cacheWrite(b, { kv: v, cache: vCache, length, width, maxSeq });
    attentionDecode(b, { q, kCache, vCache, length, scores, out: attention, maxSeq, heads, kvHeads, headDim });
    linearForward(context, layer, 'o_proj', saves, { x: attention, y: xMid });
    addInPlace(b, { x: xMid, y: xIn, length: dim });

    rmsnormForward(b, { x: xMid, weight: weights.postAttentionNorm, y: h, rows, dim, eps });
    linearForward(context, layer, 'gate_proj', saves, { x: h, y: gate });
    linearForward(context, layer, 'up_proj', saves, { x: h, y: up });
    swigluForward(b, { gate, up, y: active, length: intermediateSize });
    linearForward(context, layer, 'down_proj', saves, { x: active, y: xOut });
    addInPlace(b, { x: xOut, y: xMid, length: dim });
  });
  recordLogits({ b, model, acts, shape: { batch: 1, seq: 1, labelRows: 1 } });
}

export function cacheLayer(cache: KeyValueCache, layer: number) {
  const found = cache.layers[layer];
  if (!found) throw new RangeError(`layer ${layer} of a cache with ${cache.layers.length}`);
  return found;
}
