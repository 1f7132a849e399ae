import { type Arena, type BufferView, createArena } from '../gpu/buffers.ts';
import type { Gpu } from '../gpu/device.ts';
import { LORA_TARGETS, type LoraTarget } from '../lora/layout.ts';
import type { Matrix } from '../ops/matrix.ts';
import { ropeInverseFrequencies } from '../ops/rope.ts';
import { modelTensors } from '../quantize/model-tensors.ts';
import type { LlamaConfig } from './config.ts';
import { ModelError } from './error.ts';
import type { ModelSource, TensorData } from './source.ts';

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

export interface LoadProgress {
  readonly tensor: string;
  readonly loadedBytes: number;
  readonly totalBytes: number;
}

export interface LoadModelOptions {
  readonly onProgress?: (progress: LoadProgress) => void;
}

/** Bytes handed to the queue before waiting for it, so that the driver's staging copies stay small. */
const UPLOAD_WINDOW_BYTES = 64 * 2 ** 20;

/**
 * Uploads every weight of `source`, one tensor at a time. Throws ModelError 'missing-tensor' or 'wrong-shape' with the
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
  let loadedBytes = 0;
  let waitAt = UPLOAD_WINDOW_BYTES;
  for (const name of source.tensorNames) {
    const shape = expected.get(name);
    if (!shape) continue; // e.g. rotary_emb.inv_freq of old checkpoints, or a tied model's copy of lm_head
    const tensor = await source.tensor(name);
    checkShape(name, tensor, shape);
    if (shape.length === 2) matrices.set(name, uploadMatrix(arena, name, tensor));
    else if (tensor.dtype === 'f32') vectors.set(name, arena.upload(name, tensor.data));
    else throw new ModelError('wrong-dtype', `${name}: got int8, expected f32 for a norm weight`);
    loadedBytes += tensor.dtype === 'f32' ? tensor.data.byteLength : tensor.q.byteLength + tensor.scale.byteLength;
    if (loadedBytes >= waitAt) {
      await gpu.idle();
      waitAt = loadedBytes + UPLOAD_WINDOW_BYTES;
    }
    onProgress?.({ tensor: name, loadedBytes, totalBytes: source.bytes });
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

function checkShape(name: string, tensor: TensorData, expected: readonly number[]): void {
  const elements = tensor.dtype === 'f32' ? tensor.data.length : tensor.q.length;
  const product = expected.reduce((a, b) => a * b, 1);
  const sameShape = tensor.shape.length === expected.length && tensor.shape.every((n, i) => n === expected[i]);
  if (sameShape && elements === product) return;
  throw new ModelError(
    'wrong-shape',
    `${name}: got shape (${tensor.shape.join(', ')}) with ${elements} elements, expected (${expected.join(', ')}): ` +
      'config.json and the weights are not of the same model',
  );
}

function uploadMatrix(arena: Arena, name: string, tensor: TensorData): Matrix {
  const [rows = 0, cols = 0] = tensor.shape;
  if (tensor.dtype === 'f32') return { dtype: 'f32', w: arena.upload(name, tensor.data), rows, cols };
  return {
    dtype: 'int8',
    q: arena.upload(name, tensor.q),
    scale: arena.upload(`${name} scale`, tensor.scale),
    rows,
    cols,
  };
}
