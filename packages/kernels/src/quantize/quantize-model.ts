import { type Checkpoint, openCheckpoint, rowSlices } from './hugging-face.ts';
import {
  MANIFEST,
  MAX_SHARD_BYTES,
  type ManifestTensor,
  type ModelManifest,
  parseManifest,
  TENSOR_ALIGNMENT,
} from './manifest.ts';
import { type ModelTensor, storedBytes } from './model-tensors.ts';
import { readText } from './read-file.ts';
import { sha256Hex } from './sha256.ts';
import { createShardWriter, type ShardWriter } from './shard-writer.ts';
import type { FileSink, FileSource } from './source.ts';
import { readChatTemplate, readTokenizer, TOKENIZER } from './tokenizer-file.ts';

export interface QuantizeProgress {
  readonly tensor: string;
  readonly bytesDone: number;
  readonly bytesTotal: number;
}

export interface QuantizeOptions {
  readonly dtype: 'int8' | 'f32';
  /** Default: `license:` in the front matter of the checkpoint's README.md. */
  readonly licence?: string;
  /** Hub id or address to record; default: the last part of the source's label. */
  readonly source?: string;
  /** Size of every shard but the last; at most, and by default, 64 MiB. */
  readonly shardBytes?: number;
  readonly onProgress?: (progress: QuantizeProgress) => void;
}

/**
 * Writes a model directory from a Hugging Face checkpoint: shards, tokenizer.json and, last, model.json, so that a
 * directory with a model.json is complete. Streams: holds one shard and one slice of rows.
 * Throws ModelFileError as `openHuggingFaceModel`.
 */
export async function quantizeModel(
  from: FileSource,
  sink: FileSink,
  options: QuantizeOptions,
): Promise<ModelManifest> {
  const { dtype, onProgress } = options;
  const checkpoint = await openCheckpoint(from);
  const tokenizerBytes = new TextEncoder().encode(await readTokenizer(from, checkpoint.config));
  const bytesTotal = checkpoint.tensors.reduce((sum, tensor) => sum + storedBytes(tensor, dtype), 0);
  const roomBytes = bytesTotal + checkpoint.tensors.length * 2 * TENSOR_ALIGNMENT;
  const neededBytes = Math.ceil(roomBytes / TENSOR_ALIGNMENT) * TENSOR_ALIGNMENT;
  const writer = createShardWriter(sink, Math.min(options.shardBytes ?? MAX_SHARD_BYTES, MAX_SHARD_BYTES, neededBytes));

  const tensors: ManifestTensor[] = [];
  let bytesDone = 0;
  for (const tensor of checkpoint.tensors) {
    tensors.push(
      await writeTensor(checkpoint, tensor, dtype, writer, (bytes) => {
        bytesDone += bytes;
        onProgress?.({ tensor: tensor.name, bytesDone, bytesTotal });
      }),
    );
  }
  const manifest = parseManifest({
    format: 'cotune-model',
    version: 1,
    architecture: checkpoint.config,
    dtype,
    tensors,
    shards: await writer.finish(),
    tokenizer: { file: TOKENIZER, bytes: tokenizerBytes.byteLength, sha256: await sha256Hex(tokenizerBytes) },
    chatTemplate: await readChatTemplate(from),
    licence: options.licence ?? (await readLicence(from)),
    source: options.source ?? from.label.split(/[\\/]/).filter(Boolean).at(-1) ?? from.label,
  });
  await sink.append(TOKENIZER, tokenizerBytes);
  await sink.close(TOKENIZER);
  await sink.append(MANIFEST, new TextEncoder().encode(`${JSON.stringify(manifest, null, 1)}\n`));
  await sink.close(MANIFEST);
  return manifest;
}

async function writeTensor(
  checkpoint: Checkpoint,
  tensor: ModelTensor,
  dtype: 'int8' | 'f32',
  writer: ShardWriter,
  onBytes: (bytes: number) => void,
): Promise<ManifestTensor> {
  const entry: ManifestTensor = { name: tensor.name, dtype: 'f32', shape: [...tensor.shape], data: [] };
  const scales: Uint8Array[] = [];
  writer.align();
  for await (const slice of rowSlices(checkpoint, tensor, dtype)) {
    const elements = new Uint8Array(slice.dtype === 'int8' ? slice.q.buffer : bytesOf(slice.data));
    if (slice.dtype === 'int8') scales.push(bytesOf(slice.scale));
    await writer.write(elements, entry.data);
    onBytes(elements.byteLength);
  }
  if (scales.length === 0) return entry;
  const scale: ManifestTensor['data'] = [];
  writer.align();
  for (const bytes of scales) {
    await writer.write(bytes, scale);
    onBytes(bytes.byteLength);
  }
  return { ...entry, dtype: 'int8', scale };
}

function bytesOf(values: Float32Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

async function readLicence(source: FileSource): Promise<string | null> {
  if ((await source.size('README.md')) === undefined) return null;
  const frontMatter = /^---\r?\n([\s\S]*?)\r?\n---/.exec(await readText(source, 'README.md'))?.[1] ?? '';
  return /^licen[sc]e:\s*['"]?([^'"\r\n]+)/m.exec(frontMatter)?.[1]?.trim() ?? null;
}
