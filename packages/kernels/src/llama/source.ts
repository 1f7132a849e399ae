import type { LlamaConfig } from './config.ts';

/** One weight as the loader wants it. int8 linears and embeddings (N, K) with one scale a row; norms f32. */
export type TensorData =
  | {
      readonly dtype: 'int8';
      readonly shape: readonly [number, number];
      readonly q: Int8Array;
      readonly scale: Float32Array;
    }
  | { readonly dtype: 'f32'; readonly shape: readonly number[]; readonly data: Float32Array };

/** Rows [row, row + rows) of a weight of shape `shape`; the elements of a norm count as rows of one. */
export type TensorSlice = TensorData & { readonly row: number; readonly rows: number };

/** The most bytes of elements in one slice (or one row, where that is more). */
export const MAX_SLICE_BYTES = 8 * 2 ** 20;

/** Rows a slice: as many as fit in MAX_SLICE_BYTES, one at least. */
export function sliceRows(rowBytes: number): number {
  return Math.max(1, Math.floor(MAX_SLICE_BYTES / rowBytes));
}

/**
 * Where a model's weights come from: a quantised model directory, or Hugging Face safetensors quantised on the fly.
 * Tensor names are Hugging Face's (`model.layers.0.self_attn.q_proj.weight`, `model.embed_tokens.weight`, `lm_head.weight`…).
 * A source may be read any number of times, e.g. again after a lost device.
 */
export interface ModelSource {
  readonly label: string;
  readonly config: LlamaConfig;
  /** Storage type of the linear weights. */
  readonly dtype: 'int8' | 'f32';
  /** Names of all tensors, in the order that reads the files front to back. */
  readonly tensorNames: readonly string[];
  /** Total bytes of weights, for progress. */
  readonly bytes: number;
  tensor(name: string): Promise<TensorData>;
  /**
   * The tensor's rows front to back in slices of at most MAX_SLICE_BYTES. A slice is valid until the next one is asked for:
   * its memory is used again. Sources that hold their tensors in memory anyway leave it out.
   */
  tensorSlices?(name: string): AsyncIterable<TensorSlice>;
  /** Text of tokenizer.json. Throws when there is none. */
  tokenizerJson(): Promise<string>;
  /** The model's own chat template, in Jinja; null when it has none. */
  chatTemplate(): Promise<string | null>;
}

/** The slices of a tensor, of any source: one with all rows where the source does not slice. */
export async function* slicesOf(source: ModelSource, name: string): AsyncGenerator<TensorSlice> {
  if (source.tensorSlices) return yield* source.tensorSlices(name);
  const tensor = await source.tensor(name);
  yield { ...tensor, row: 0, rows: tensor.shape[0] ?? 0 };
}

/** Joins slices to the whole tensor; for tests and small tensors. Throws RangeError when there is no slice. */
export async function joinSlices(slices: AsyncIterable<TensorSlice>): Promise<TensorData> {
  let whole: TensorData | undefined;
  for await (const slice of slices) {
    whole ??= emptyLike(slice);
    const cols = slice.shape[1] ?? 1;
    if (slice.dtype === 'f32' && whole.dtype === 'f32') whole.data.set(slice.data, slice.row * cols);
    else if (slice.dtype === 'int8' && whole.dtype === 'int8') {
      whole.q.set(slice.q, slice.row * cols);
      whole.scale.set(slice.scale, slice.row);
    }
  }
  if (!whole) throw new RangeError('a tensor without rows');
  return whole;
}

function emptyLike({ dtype, shape }: TensorData): TensorData {
  const elements = shape.reduce((product, n) => product * n, 1);
  if (dtype === 'f32') return { dtype, shape, data: new Float32Array(elements) };
  const [rows = 0, cols = 0] = shape;
  return { dtype, shape: [rows, cols], q: new Int8Array(elements), scale: new Float32Array(rows) };
}
