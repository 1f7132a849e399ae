import { packHalf, unpackHalf } from '../ops/pack_half.ts';
import type { LayerSaves } from './activations.ts';
import type { LlamaConfig } from './config.ts';
import type { Pass } from './forward.ts';
import type { PackedName } from './plan-tensors.ts';

/** Packs a layer's tensors away in f16, those of them that it keeps so, because the next layer uses the same f32 ones. */
export function putBy(pass: Pass, saves: LayerSaves, names: readonly PackedName[], rows: number): void {
  if (!pass.backwardFollows) return;
  for (const name of names) {
    const packed = saves.halves[name];
    const length = rows * widthOf(pass.model.config, name);
    if (packed) packHalf(pass.b, { x: saves[name], packed, length });
  }
}

/** Brings back what `putBy` packed, before the layer's backward pass reads it. */
export function bringBack(pass: Pass, saves: LayerSaves, names: readonly PackedName[], rows: number): void {
  for (const name of names) {
    const packed = saves.halves[name];
    const length = rows * widthOf(pass.model.config, name);
    if (packed) unpackHalf(pass.b, { x: saves[name], packed, length });
  }
}

function widthOf({ hiddenSize, intermediateSize, heads, kvHeads, headDim }: LlamaConfig, name: PackedName): number {
  switch (name) {
    case 'q':
    case 'attention':
      return heads * headDim;
    case 'k':
    case 'v':
      return kvHeads * headDim;
    case 'xMid':
      return hiddenSize;
    case 'gate':
    case 'up':
      return intermediateSize;
    default:
      return name satisfies never;
  }
}
