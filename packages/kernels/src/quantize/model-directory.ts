import type { ModelSource, TensorData } from '../llama/source.ts';
import { ModelFileError } from './error.ts';
import { type ManifestTensor, type ModelManifest, readManifest, type Segment } from './manifest.ts';
import { concatenate } from './memory-files.ts';
import { readExactly, sizeOf } from './read-file.ts';
import { sha256Hex } from './sha256.ts';
import type { FileSource } from './source.ts';
import { readTokenizer } from './tokenizer-file.ts';

/**
 * Opens a model directory: model.json, shards, tokenizer.json. Checks that every file is there with its size; hashes
 * are checked by `verifyModelDirectory`. Throws ModelFileError as `readManifest`, and 'truncated' for a short shard.
 */
export async function openModelDirectory(
  source: FileSource,
): Promise<ModelSource & { readonly manifest: ModelManifest }> {
  const manifest = await readManifest(source);
  await Promise.all(manifest.shards.map(({ file, bytes }) => checkSize(source, file, bytes)));
  const byName = new Map(manifest.tensors.map((tensor) => [tensor.name, tensor]));
  return {
    label: source.label,
    config: manifest.architecture,
    dtype: manifest.dtype,
    manifest,
    tensorNames: [...byName.keys()],
    bytes: manifest.tensors.reduce((sum, { data, scale = [] }) => sum + segmentBytes(data) + segmentBytes(scale), 0),
    async tensor(name) {
      const tensor = byName.get(name);
      if (!tensor) throw new ModelFileError('missing-tensor', 'model.json', `no tensor ${name} in ${source.label}`);
      return readTensor(source, manifest, tensor);
    },
    tokenizerJson: () => readTokenizer(source, manifest.architecture),
  };
}

/** Reads every file of a model directory and compares its SHA-256. Throws ModelFileError 'hash-mismatch' for the first that differs. */
export async function verifyModelDirectory(
  source: FileSource,
  onProgress?: (progress: { file: string; bytesDone: number; bytesTotal: number }) => void,
): Promise<ModelManifest> {
  const manifest = await readManifest(source);
  const files = [...manifest.shards, manifest.tokenizer];
  const bytesTotal = files.reduce((sum, { bytes }) => sum + bytes, 0);
  let bytesDone = 0;
  for (const { file, bytes, sha256 } of files) {
    await checkSize(source, file, bytes);
    const got = await sha256Hex(await readExactly(source, file, 0, bytes));
    if (got !== sha256) {
      throw new ModelFileError('hash-mismatch', file, `got sha256 ${got}, expected ${sha256}; download the file again`);
    }
    bytesDone += bytes;
    onProgress?.({ file, bytesDone, bytesTotal });
  }
  return manifest;
}

async function checkSize(source: FileSource, file: string, bytes: number): Promise<void> {
  const got = await sizeOf(source, file);
  if (got === bytes) return;
  const code = got < bytes ? 'truncated' : 'malformed';
  throw new ModelFileError(code, file, `got ${got} bytes, expected ${bytes}; download the file again`);
}

async function readTensor(source: FileSource, manifest: ModelManifest, tensor: ManifestTensor): Promise<TensorData> {
  const read = async (segments: readonly Segment[]): Promise<ArrayBuffer> => {
    const parts = await Promise.all(
      segments.map(({ shard, offset, bytes }) => {
        const file = manifest.shards[shard]?.file ?? '';
        return readExactly(source, file, offset, offset + bytes);
      }),
    );
    const { buffer, byteOffset, byteLength } = concatenate(parts);
    return byteLength === buffer.byteLength ? buffer : buffer.slice(byteOffset, byteOffset + byteLength);
  };
  const data = await read(tensor.data);
  if (!tensor.scale) return { dtype: 'f32', shape: tensor.shape, data: new Float32Array(data) };
  const [rows = 0, cols = 0] = tensor.shape;
  return {
    dtype: 'int8',
    shape: [rows, cols],
    q: new Int8Array(data),
    scale: new Float32Array(await read(tensor.scale)),
  };
}

function segmentBytes(segments: readonly Segment[]): number {
  return segments.reduce((sum, { bytes }) => sum + bytes, 0);
}
