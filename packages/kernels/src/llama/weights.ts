import { type Arena, type BufferView, createArena, writeView } from '../gpu/buffers.ts';
import type { Gpu } from '../gpu/device.ts';
import { LORA_TARGETS, type LoraTarget } from '../lora/layout.ts';
import type { Matrix } from '../ops/matrix.ts';
import { ropeInverseFrequencies } from '../ops/rope.ts';
import { modelTensors } from '../quantize/model-tensors.ts';
import { type Transfer, transferMeter } from '../quantize/transfer.ts';
import type { LlamaConfig } from './config.ts';
import { ModelError } from './error.ts';
import { type ModelSource, slicesOf, type TensorSlice } from './source.ts';

export interface LayerWeights {
  readonly inputNorm: BufferView; // (hidden)
  readonly linears: Readonly<Record<LoraTarget, Matrix>>; // (outputs, inputs) each
  readonly postAttentionNorm: BufferView; // (hidden)
}

/** A frozen Llama on the GPU. */
export interface Model {
  readonly gpu: Gpu;
  readonly label: string;
  readonly config: LlamaConfig;
  /** Storage type of the matrices; norms are always f32. */
  readonly dtype: 'int8' | 'f32';
  /** GPU memory held by the weights. */
  readonly bytes: number;
  readonly embedding: Matrix; // (vocab, hidden)
  readonly layers: readonly LayerWeights[];
  readonly finalNorm: BufferView; // (hidden)
  /** The embedding itself when the model ties the two. */
  readonly lmHead: Matrix; // (vocab, hidden)
  readonly inverseFrequency: BufferView; // (headDim / 2)
  destroy(): void;
}

export interface LoadProgress extends Transfer {
  readonly tensor: string;
}

export interface LoadModelOptions {
  readonly onProgress?: (progress: LoadProgress) => void;
}

/** Bytes handed to the queue before waiting for it, so that the driver's staging copies stay small. */
const UPLOAD_WINDOW_BYTES = 64 * 2 ** 20;

/**
 * Uploads every weight of `source` slice by slice, so that no tensor is ever in memory as a whole; a second call with the same
 * source loads it again, e.g. onto a new device after the first was lost. Throws ModelError 'missing-tensor' or 'wrong-shape' with the
 * tensor's name, GpuError 'limit' or 'out-of-memory' when the adapter cannot hold it.
 */
export async function loadModel(gpu: Gpu, source: ModelSource, options: LoadModelOptions = {}): Promise<Model> {
  const arena = createArena(gpu.device);
  try {
    const tensors = await uploadTensors(gpu, arena, source, options.onProgress);
    const { config } = source;
    const embedding = tensors.matrix('model.embed_tokens.weight');
    const model = {
      gpu,
      label: source.label,
      config,
      dtype: source.dtype,
      embedding,
      layers: Array.from({ length: config.layers }, (_, layer) => layerWeights(tensors, layer)),
      finalNorm: tensors.vector('model.norm.weight'),
      lmHead: config.tiedEmbeddings ? embedding : tensors.matrix('lm_head.weight'),
      inverseFrequency: arena.upload('inverse frequencies', ropeInverseFrequencies(config)),
    };
    await gpu.idle();
    return { ...model, bytes: arena.bytes, destroy: () => arena.destroy() };
  } catch (error) {
    arena.destroy();
    throw error;
  }
}

interface Tensors {
  matrix(name: string): Matrix;
  vector(name: string): BufferView;
}

async function uploadTensors(
  gpu: Gpu,
  arena: Arena,
  source: ModelSource,
  onProgress: LoadModelOptions['onProgress'],
): Promise<Tensors> {
  const expected = new Map(modelTensors(source.config).map(({ name, shape }) => [name, shape]));
  const matrices = new Map<string, Matrix>();
  const vectors = new Map<string, BufferView>();
  const meter = transferMeter(source.bytes);
  let loadedBytes = 0;
  let waitAt = UPLOAD_WINDOW_BYTES;
  for (const name of source.tensorNames) {
    const shape = expected.get(name);
    if (!shape) continue; // e.g. rotary_emb.inv_freq of old checkpoints, or a tied model's copy of lm_head
    const [rows, cols] = shape;
    let target: Matrix | undefined;
    let rowsDone = 0;
    for await (const slice of slicesOf(source, name)) {
      checkShape(name, slice, shape);
      target ??= allocate(arena, name, slice.dtype, rows, cols ?? 1);
      loadedBytes += writeSlice(gpu.device, name, target, slice);
      rowsDone += slice.rows;
      if (loadedBytes >= waitAt) {
        await gpu.idle();
        await arena.given();
        waitAt = loadedBytes + UPLOAD_WINDOW_BYTES;
      }
      onProgress?.({ tensor: name, ...meter.update(loadedBytes) });
    }
    if (!target || rowsDone !== rows) {
      throw new ModelError(
        'wrong-shape',
        `${name}: got ${rowsDone} rows, expected ${rows}: the weights are incomplete`,
      );
    }
    if (cols !== undefined) matrices.set(name, target);
    else if (target.dtype === 'f32') vectors.set(name, target.w);
    else throw new ModelError('wrong-dtype', `${name}: got int8, expected f32 for a norm weight`);
  }
  const take = <T>(from: Map<string, T>, name: string): T => {
    const value = from.get(name);
    if (!value)
      throw new ModelError('missing-tensor', `${source.label} has no tensor ${name}: the download is incomplete`);
    return value;
  };
  return { matrix: (name) => take(matrices, name), vector: (name) => take(vectors, name) };
}

function layerWeights(tensors: Tensors, layer: number): LayerWeights {
  const linears = Object.fromEntries(LORA_TARGETS.map((target) => [target, tensors.matrix(linearName(layer, target))]));
  return {
    inputNorm: tensors.vector(`model.layers.${layer}.input_layernorm.weight`),
    linears: linears as Record<LoraTarget, Matrix>,
    postAttentionNorm: tensors.vector(`model.layers.${layer}.post_attention_layernorm.weight`),
  };
}

function linearName(layer: number, target: LoraTarget): string {
  const block = ['gate_proj', 'up_proj', 'down_proj'].includes(target) ? 'mlp' : 'self_attn';
  return `model.layers.${layer}.${block}.${target}.weight`;
}

function checkShape(name: string, slice: TensorSlice, expected: readonly number[]): void {
  const elements = slice.dtype === 'f32' ? slice.data.length : slice.q.length;
  const sameShape = slice.shape.length === expected.length && slice.shape.every((n, i) => n === expected[i]);
  if (sameShape && elements === slice.rows * (expected[1] ?? 1)) return;
  throw new ModelError(
    'wrong-shape',
    `${name}: got shape (${slice.shape.join(', ')}) with ${elements} elements in ${slice.rows} rows, ` +
      `expected (${expected.join(', ')}): config.json and the weights are not of the same model`,
  );
}

function allocate(arena: Arena, name: string, dtype: 'int8' | 'f32', rows: number, cols: number): Matrix {
  if (dtype === 'f32') return { dtype, w: arena.alloc(name, rows * cols), rows, cols };
  // Four int8 elements an element of the buffer.
  const q = arena.alloc(name, Math.ceil((rows * cols) / 4));
  return { dtype, q, scale: arena.alloc(`${name} scale`, rows), rows, cols };
}

/** Copies a slice to its place; gives the bytes it has. */
function writeSlice(device: GPUDevice, name: string, target: Matrix, slice: TensorSlice): number {
  const at = slice.row * target.cols;
  if (target.dtype === 'f32' && slice.dtype === 'f32') {
    writeView(device, within(target.w, 4 * at), slice.data);
    return slice.data.byteLength;
  }
  if (target.dtype === 'int8' && slice.dtype === 'int8') {
    writeView(device, within(target.q, at), slice.q);
    writeView(device, within(target.scale, 4 * slice.row), slice.scale);
    return slice.q.byteLength + slice.scale.byteLength;
  }
  throw new ModelError('wrong-dtype', `${name}: got slices of ${target.dtype} and of ${slice.dtype}, expected one`);
}

function within(view: BufferView, offset: number): BufferView {
  return { buffer: view.buffer, offset: view.offset + offset, size: view.size - offset };
}
