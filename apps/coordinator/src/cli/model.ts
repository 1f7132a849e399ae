import { existsSync } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type FileSource,
  type Gpu,
  hubSource,
  loadModel,
  MANIFEST,
  type Model,
  type ModelSource,
  openModel,
  parseHubId,
  readPeft,
  remoteSource,
  sha256Hex,
} from '@cotune/kernels';
import { directorySource, openNodeGpu } from '@cotune/kernels/node';
import { formatDuration, note, progressBar, UserError } from './output.ts';

/** Above this, a software adapter would take minutes a step; it must be asked for. */
const SOFTWARE_PARAMETERS_MAX = 20_000_000;

export type WeightDtype = 'int8' | 'f32';

/** Opens a model directory (Cotune's or Hugging Face's), an address or a hub id, without a GPU. */
export async function openModelFiles(from: string, dtype: WeightDtype): Promise<ModelSource> {
  return openModel(await openFiles(from), { dtype });
}

/**
 * The files of a directory, of a directory at an http(s) address, or of a model on the hub (`owner/name[@revision]`; HF_TOKEN
 * and HF_ENDPOINT as Hugging Face's own tools read them). What is there as a directory is never looked for elsewhere.
 */
export async function openFiles(from: string): Promise<FileSource> {
  const retries = { onRetry: (error: Error, ms: number) => note(`${error.message}; again in ${formatDuration(ms)}`) };
  if (/^https?:\/\//.test(from)) return remoteSource(from, retries);
  const hubId = parseHubId(from);
  if (hubId && !existsSync(from)) {
    return hubSource(hubId, { ...retries, token: process.env.HF_TOKEN, endpoint: process.env.HF_ENDPOINT });
  }
  await requireDirectory(from);
  return directorySource(from);
}

/**
 * What tells the weights behind `from` from others that were there before: the hashes in a model directory's manifest, the
 * sizes and times of local Hugging Face files; a hub model's label names its commit.
 */
export async function weightsIdentity(from: string, { label }: ModelSource): Promise<string> {
  const files = await openFiles(from);
  if ((await files.size(MANIFEST)) !== undefined) return sha256Hex(await files.read(MANIFEST));
  if (!existsSync(from)) return label;
  const names = (await readdir(from)).filter((name) => name === 'config.json' || name.endsWith('.safetensors')).sort();
  const infos = await Promise.all(names.map((name) => stat(join(from, name))));
  return JSON.stringify(infos.map(({ size, mtimeMs }, i) => [names[i], size, mtimeMs]));
}

/** Uploads the weights, with progress. */
export async function loadOnGpu(gpu: Gpu, source: ModelSource): Promise<Model> {
  const bar = progressBar('loading model');
  const model = await loadModel(gpu, source, {
    onProgress: bar.transfer,
  });
  bar.end();
  return model;
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
