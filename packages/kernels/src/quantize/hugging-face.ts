import { ConfigError, type LlamaConfig, parseLlamaConfig } from '../llama/config.ts';
import { joinSlices, type ModelSource, type TensorSlice } from '../llama/source.ts';
import { ModelFileError } from './error.ts';
import { type ModelTensor, modelTensors, storedBytes } from './model-tensors.ts';
import { quantizeRows } from './quantize-rows.ts';
import { parseJson, readText } from './read-file.ts';
import { openSafetensors, type SafetensorsReader } from './safetensors.ts';
import type { FileSource } from './source.ts';
import { readChatTemplate, readTokenizer } from './tokenizer-file.ts';

/** A checked Hugging Face checkpoint: every weight of the config is there with its shape. */
export interface Checkpoint {
  readonly config: LlamaConfig;
  readonly reader: SafetensorsReader;
  /** In the order that reads the files front to back. */
  readonly tensors: readonly ModelTensor[];
}

// Large enough to stream well, small enough that memory does not depend on the size of the largest matrix.
const SLICE_ELEMENTS = 2 ** 20;

/**
 * Opens config.json and the safetensors headers beside it.
 * Throws ModelFileError: 'unsupported-architecture' names the field; 'missing-tensor', 'shape-mismatch' the tensor.
 */
export async function openCheckpoint(source: FileSource): Promise<Checkpoint> {
  const config = await readConfig(source);
  const reader = await openSafetensors(source);
  for (const { name, file } of reader.tensors.values()) {
    if (name.endsWith('.bias')) {
      throw new ModelFileError('unsupported-architecture', file, `got the bias ${name}, expected linears without one`);
    }
  }
  const wanted = new Map(modelTensors(config).map((tensor) => [tensor.name, tensor]));
  for (const { name, shape } of wanted.values()) {
    const entry = reader.tensors.get(name);
    if (!entry) {
      throw new ModelFileError(
        'missing-tensor',
        'model.safetensors',
        `no tensor ${name}, which config.json asks for; is the download complete?`,
      );
    }
    if (entry.shape.join() !== shape.join()) {
      throw new ModelFileError(
        'shape-mismatch',
        entry.file,
        `${name}: got [${entry.shape}], expected [${shape}] as in config.json`,
      );
    }
  }
  const tensors = [...reader.tensors.keys()].flatMap((name) => wanted.get(name) ?? []);
  return { config, reader, tensors };
}

/** A weight's rows in slices of bounded size, quantised when the dtype asks for it. Throws 'non-finite' with the row. */
export async function* rowSlices(
  checkpoint: Checkpoint,
  tensor: ModelTensor,
  dtype: 'int8' | 'f32',
): AsyncGenerator<TensorSlice> {
  const { name, kind, shape } = tensor;
  const [rows, cols = 1] = shape;
  const step = Math.max(1, Math.floor(SLICE_ELEMENTS / cols));
  for (let row = 0; row < rows; row += step) {
    const count = Math.min(step, rows - row);
    const data = await checkpoint.reader.rows(name, row, row + count);
    const bad = firstNonFinite(data);
    if (bad !== -1) {
      const file = checkpoint.reader.tensors.get(name)?.file ?? name;
      throw new ModelFileError(
        'non-finite',
        file,
        `${name}: row ${row + Math.floor(bad / cols)} holds NaN or infinity`,
      );
    }
    yield kind === 'matrix' && dtype === 'int8'
      ? { dtype, shape: [rows, cols], row, rows: count, ...quantizeRows(data, count, cols) }
      : { dtype: 'f32', shape, row, rows: count, data };
  }
}

/**
 * A Hugging Face directory (config.json, safetensors, tokenizer.json) as a model, quantised while it is read.
 * Throws as `openCheckpoint`.
 */
export async function openHuggingFaceModel(
  source: FileSource,
  options: { dtype: 'int8' | 'f32' },
): Promise<ModelSource> {
  const { dtype } = options;
  const checkpoint = await openCheckpoint(source);
  const byName = new Map(checkpoint.tensors.map((tensor) => [tensor.name, tensor]));
  const slices = (name: string): AsyncGenerator<TensorSlice> => {
    const tensor = byName.get(name);
    if (!tensor)
      throw new ModelFileError('missing-tensor', 'model.safetensors', `no tensor ${name} in ${source.label}`);
    return rowSlices(checkpoint, tensor, dtype);
  };
  return {
    label: source.label,
    config: checkpoint.config,
    dtype,
    tensorNames: [...byName.keys()],
    bytes: checkpoint.tensors.reduce((sum, tensor) => sum + storedBytes(tensor, dtype), 0),
    tensor: (name) => joinSlices(slices(name)),
    tensorSlices: slices,
    tokenizerJson: () => readTokenizer(source, checkpoint.config),
    chatTemplate: () => readChatTemplate(source),
  };
}

// On bit patterns: several times faster than Number.isFinite over billions of weights.
function firstNonFinite(data: Float32Array): number {
  const bits = new Int32Array(data.buffer, data.byteOffset, data.length);
  for (let i = 0; i < bits.length; i++) if ((bits[i]! & 0x7f800000) === 0x7f800000) return i; // i < length
  return -1;
}

async function readConfig(source: FileSource): Promise<LlamaConfig> {
  const json = parseJson(await readText(source, 'config.json'), 'config.json');
  try {
    return parseLlamaConfig(json);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const reason = error.message.replace(/^config\.json: /, '');
    throw new ModelFileError('unsupported-architecture', 'config.json', reason);
  }
}
