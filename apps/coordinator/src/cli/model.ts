import { stat } from 'node:fs/promises';
import { loadTokenizer, type Tokenizer } from '@cotune/fl-core';
import { type Gpu, loadModel, type Model, type ModelSource, openModel, readPeft } from '@cotune/kernels';
import { directorySource, openNodeGpu } from '@cotune/kernels/node';
import { progressBar, UserError } from './output.ts';

/** Above this, a software adapter would take minutes a step; it must be asked for. */
const SOFTWARE_PARAMETERS_MAX = 20_000_000;

export type WeightDtype = 'int8' | 'f32';

export interface OpenedModel {
  readonly gpu: Gpu;
  readonly source: ModelSource;
  readonly model: Model;
  /** Throws when the model directory has no tokenizer. */
  tokenizer(): Promise<Tokenizer>;
}

/** Opens a model directory (Cotune's or Hugging Face's) without a GPU. */
export async function openModelFiles(path: string, dtype: WeightDtype): Promise<ModelSource> {
  await requireDirectory(path);
  return openModel(directorySource(path), { dtype });
}

/** Opens a model directory and loads it onto this machine's GPU, with progress. */
export async function openModelOnGpu(path: string, dtype: WeightDtype, software: boolean): Promise<OpenedModel> {
  const source = await openModelFiles(path, dtype);
  const gpu = await openGpuFor(parameterCount(source), software);
  return loadOnGpu(gpu, source);
}

export async function loadOnGpu(gpu: Gpu, source: ModelSource): Promise<OpenedModel> {
  const bar = progressBar('loading model');
  const model = await loadModel(gpu, source, {
    onProgress: ({ loadedBytes, totalBytes }) => bar.update(loadedBytes, totalBytes),
  });
  bar.end();
  return { gpu, source, model, tokenizer: async () => loadTokenizer(await source.tokenizerJson(), source.config) };
}

/** This machine's GPU; a software adapter only for small models or with --software. */
export async function openGpuFor(parameters: number, software: boolean): Promise<Gpu> {
  const allowSoftware = software || parameters <= SOFTWARE_PARAMETERS_MAX;
  const gpu = await openNodeGpu({ allowSoftware: true });
  if (gpu.adapter.kind !== 'hardware' && !allowSoftware) {
    gpu.destroy();
    throw new UserError(
      `the only WebGPU adapter here is software (${gpu.adapter.kind}), too slow for ${(parameters / 1e6).toFixed(0)} M parameters: ` +
        'use a machine with a GPU, or pass --software to wait for it',
    );
  }
  return gpu;
}

/** Weights of the base model, without scales. */
export function parameterCount(source: ModelSource): number {
  const { vocabSize, hiddenSize, intermediateSize, layers, heads, kvHeads, headDim, tiedEmbeddings } = source.config;
  const attention = hiddenSize * headDim * (2 * heads + 2 * kvHeads);
  const layer = attention + 3 * hiddenSize * intermediateSize + 2 * hiddenSize;
  return layers * layer + (tiedEmbeddings ? 1 : 2) * vocabSize * hiddenSize + hiddenSize;
}

/** Reads a PEFT directory for this model. */
export async function openAdapter(path: string, source: ModelSource): ReturnType<typeof readPeft> {
  await requireDirectory(path);
  return readPeft(directorySource(path), source.config);
}

export async function requireDirectory(path: string): Promise<void> {
  const info = await stat(path).catch(() => undefined);
  if (!info) throw new UserError(`no such directory: ${path}`);
  if (!info.isDirectory()) throw new UserError(`${path} is a file, expected a directory`);
}
