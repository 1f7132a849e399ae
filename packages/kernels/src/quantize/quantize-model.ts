import { type Checkpoint, openCheckpoint, rowSlices } from './hugging-face.ts';
import { MANIFEST, MAX_SHARD_BYTES, type ModelManifest, parseManifest, TENSOR_ALIGNMENT } from './manifest.ts';
import { storedBytes } from './model-tensors.ts';
import { readText } from './read-file.ts';
import { sha256Hex } from './sha256.ts';
import { layOut, type PlacedTensor } from './shard-layout.ts';
import { createShardWriter, type ShardWriter } from './shard-writer.ts';
import type { FileSink, FileSource } from './source.ts';
import { readChatTemplate, readTokenizer, TOKENIZER } from './tokenizer-file.ts';
import { type Transfer, transferMeter } from './transfer.ts';
import { fingerprintOf, keptShards, noteShards, UNFINISHED } from './unfinished.ts';

/** In bytes of the result. */
export interface QuantizeProgress extends Transfer {
  readonly tensor: string;
}

export interface QuantizeOptions {
  readonly dtype: 'int8' | 'f32';
  /** Default: `license:` in the front matter of the checkpoint's README.md. */
  readonly licence?: string;
  /** Hub id or address to record; default: the last part of the source's label. */
  readonly source?: string;
  /** Size of every shard but the last; at most, and by default, 64 MiB. */
  readonly shardBytes?: number;
  /** The sink's own files: shards that an earlier run with the same settings completed are kept, and only the rest is read. */
  readonly resume?: FileSource;
  readonly onProgress?: (progress: QuantizeProgress) => void;
}

/**
 * Writes a model directory from a Hugging Face checkpoint: shards, tokenizer.json and, last, model.json, so that a
 * directory with a model.json is complete. Streams: holds one slice of rows and one tensor's scales, whatever the model's size.
 * Throws ModelFileError as `openHuggingFaceModel`.
 */
export async function quantizeModel(
  from: FileSource,
  sink: FileSink,
  options: QuantizeOptions,
): Promise<ModelManifest> {
  const { dtype, resume } = options;
  const checkpoint = await openCheckpoint(from);
  const tokenizerBytes = new TextEncoder().encode(await readTokenizer(from, checkpoint.config));
  const shardBytes = shardBytesFor(checkpoint, options);
  const placed = layOut(checkpoint.tensors, dtype, shardBytes);
  const source = options.source ?? from.label.split(/[\\/]/).filter(Boolean).at(-1) ?? from.label;

  const fingerprint = resume ? await fingerprintOf(checkpoint, { dtype, shardBytes, source }) : '';
  const kept = resume ? await keptShards(resume, sink, fingerprint) : [];
  const writer = createShardWriter(sink, shardBytes, kept, async (shards) => {
    if (resume) await noteShards(sink, fingerprint, shards);
  });
  await writeTensors(checkpoint, placed, kept.length * shardBytes, writer, options);

  const manifest = parseManifest({
    format: 'cotune-model',
    version: 1,
    architecture: checkpoint.config,
    dtype,
    tensors: placed.map(({ entry }) => entry),
    shards: await writer.finish(),
    tokenizer: { file: TOKENIZER, bytes: tokenizerBytes.byteLength, sha256: await sha256Hex(tokenizerBytes) },
    chatTemplate: await readChatTemplate(from),
    licence: options.licence ?? (await readLicence(from)),
    source,
  });
  await sink.append(TOKENIZER, tokenizerBytes);
  await sink.close(TOKENIZER);
  await sink.append(MANIFEST, new TextEncoder().encode(`${JSON.stringify(manifest, null, 1)}\n`));
  await sink.close(MANIFEST);
  if (resume) await sink.remove(UNFINISHED);
  return manifest;
}

/** Bytes a shard: as asked, but not beyond the limit, nor beyond what the model needs. */
function shardBytesFor({ tensors }: Checkpoint, { dtype, shardBytes }: QuantizeOptions): number {
  const bytes = tensors.reduce((sum, tensor) => sum + storedBytes(tensor, dtype), 0);
  const roomBytes = bytes + tensors.length * 2 * TENSOR_ALIGNMENT;
  const neededBytes = Math.ceil(roomBytes / TENSOR_ALIGNMENT) * TENSOR_ALIGNMENT;
  return Math.min(shardBytes ?? MAX_SHARD_BYTES, MAX_SHARD_BYTES, neededBytes);
}

/** Quantises every tensor that reaches beyond `keptBytes`. One that begins before is read whole: its scales come after its rows. */
async function writeTensors(
  checkpoint: Checkpoint,
  placed: readonly PlacedTensor[],
  keptBytes: number,
  writer: ShardWriter,
  { dtype, onProgress }: QuantizeOptions,
): Promise<void> {
  const bytesOf = (some: readonly PlacedTensor[]) =>
    some.reduce((sum, { tensor }) => sum + storedBytes(tensor, dtype), 0);
  const missing = placed.filter(({ endAt }) => endAt > keptBytes);
  const totalBytes = bytesOf(placed);
  const cachedBytes = totalBytes - bytesOf(missing);
  const meter = transferMeter(totalBytes);
  let doneBytes = cachedBytes;
  for (const { tensor, dataAt, scaleAt } of missing) {
    const scales = new Float32Array(scaleAt === null ? 0 : tensor.shape[0]);
    let at = dataAt;
    for await (const slice of rowSlices(checkpoint, tensor, dtype)) {
      if (slice.dtype === 'int8') scales.set(slice.scale, slice.row);
      const { buffer, byteOffset, byteLength } = slice.dtype === 'int8' ? slice.q : slice.data;
      await writer.write(at, new Uint8Array(buffer, byteOffset, byteLength));
      at += byteLength;
      doneBytes += byteLength + 4 * (slice.dtype === 'int8' ? slice.rows : 0);
      onProgress?.({ tensor: tensor.name, ...meter.update(doneBytes, cachedBytes) });
    }
    if (scaleAt !== null) await writer.write(scaleAt, new Uint8Array(scales.buffer));
  }
}

async function readLicence(source: FileSource): Promise<string | null> {
  if ((await source.size('README.md')) === undefined) return null;
  const frontMatter = /^---\r?\n([\s\S]*?)\r?\n---/.exec(await readText(source, 'README.md'))?.[1] ?? '';
  return /^licen[sc]e:\s*['"]?([^'"\r\n]+)/m.exec(frontMatter)?.[1]?.trim() ?? null;
}
