import { joinSlices, MAX_SLICE_BYTES, type ModelSource, sliceRows, type TensorSlice } from '../llama/source.ts';
import { ModelFileError } from './error.ts';
import { type ManifestTensor, type ModelManifest, readManifest, type Segment } from './manifest.ts';
import { readExactly, sizeOf } from './read-file.ts';
import { createSha256 } from './sha256.ts';
import type { FileSource } from './source.ts';
import { readTokenizer } from './tokenizer-file.ts';
import { type Transfer, transferMeter } from './transfer.ts';

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
  const slices = (name: string): AsyncGenerator<TensorSlice> => {
    const tensor = byName.get(name);
    if (!tensor) throw new ModelFileError('missing-tensor', 'model.json', `no tensor ${name} in ${source.label}`);
    return readSlices(source, manifest, tensor);
  };
  return {
    label: source.label,
    config: manifest.architecture,
    dtype: manifest.dtype,
    manifest,
    tensorNames: [...byName.keys()],
    bytes: manifest.tensors.reduce((sum, { data, scale = [] }) => sum + segmentBytes(data) + segmentBytes(scale), 0),
    tensor: (name) => joinSlices(slices(name)),
    tensorSlices: slices,
    tokenizerJson: () => readTokenizer(source, manifest.architecture),
    chatTemplate: () => Promise.resolve(manifest.chatTemplate),
  };
}

/** Reads every file of a model directory, in slices, and compares its SHA-256. Throws ModelFileError 'hash-mismatch' for the first that differs. */
export async function verifyModelDirectory(
  source: FileSource,
  onProgress?: (progress: Transfer & { readonly file: string }) => void,
): Promise<ModelManifest> {
  const manifest = await readManifest(source);
  const files = [...manifest.shards, manifest.tokenizer];
  const meter = transferMeter(files.reduce((sum, { bytes }) => sum + bytes, 0));
  let before = 0;
  for (const { file, bytes, sha256 } of files) {
    await checkSize(source, file, bytes);
    const got = await fileSha256(source, file, bytes, (done) => {
      onProgress?.({ file, ...meter.update(before + done) });
    });
    if (got !== sha256) {
      throw new ModelFileError('hash-mismatch', file, `got sha256 ${got}, expected ${sha256}; download the file again`);
    }
    before += bytes;
  }
  return manifest;
}

/** SHA-256 of the first `bytes` bytes of a file, read in slices. Throws 'truncated' when it is shorter. */
export async function fileSha256(
  source: FileSource,
  file: string,
  bytes: number,
  onBytes?: (done: number) => void,
): Promise<string> {
  const hash = createSha256();
  const buffer = new Uint8Array(Math.min(bytes, MAX_SLICE_BYTES));
  for (let at = 0; at < bytes; at += buffer.byteLength) {
    const end = Math.min(bytes, at + buffer.byteLength);
    hash.update(await readExactly(source, file, at, end, buffer));
    onBytes?.(end);
  }
  return hash.hex();
}

async function checkSize(source: FileSource, file: string, bytes: number): Promise<void> {
  const got = await sizeOf(source, file);
  if (got === bytes) return;
  const code = got < bytes ? 'truncated' : 'malformed';
  throw new ModelFileError(code, file, `got ${got} bytes, expected ${bytes}; download the file again`);
}

async function* readSlices(
  source: FileSource,
  manifest: ModelManifest,
  tensor: ManifestTensor,
): AsyncGenerator<TensorSlice> {
  const { dtype, shape } = tensor;
  const [rows = 0, cols = 1] = shape;
  const rowBytes = dtype === 'int8' ? cols : 4 * cols;
  const step = Math.min(rows, sliceRows(rowBytes));
  const data = new Uint8Array(step * rowBytes);
  const scale = new Uint8Array(dtype === 'int8' ? step * 4 : 0);
  for (let row = 0; row < rows; row += step) {
    const count = Math.min(step, rows - row);
    await readRange(source, manifest, tensor.data, row * rowBytes, data.subarray(0, count * rowBytes));
    if (dtype === 'f32') {
      yield { dtype, shape, row, rows: count, data: new Float32Array(data.buffer, 0, count * cols) };
      continue;
    }
    await readRange(source, manifest, tensor.scale ?? [], row * 4, scale.subarray(0, count * 4));
    const q = new Int8Array(data.buffer, 0, count * cols);
    yield { dtype, shape: [rows, cols], row, rows: count, q, scale: new Float32Array(scale.buffer, 0, count) };
  }
}

/** Fills `into` with the bytes from `start` on of what the segments hold together. */
async function readRange(
  source: FileSource,
  manifest: ModelManifest,
  segments: readonly Segment[],
  start: number,
  into: Uint8Array<ArrayBuffer>,
): Promise<void> {
  const end = start + into.byteLength;
  let before = 0;
  for (const { shard, offset, bytes } of segments) {
    const from = Math.max(start, before);
    const to = Math.min(end, before + bytes);
    if (from < to) {
      const file = manifest.shards[shard]?.file ?? '';
      const target = into.subarray(from - start, to - start);
      const got = await readExactly(source, file, offset + from - before, offset + to - before, target);
      if (got.buffer !== target.buffer) target.set(got);
    }
    before += bytes;
  }
}

function segmentBytes(segments: readonly Segment[]): number {
  return segments.reduce((sum, { bytes }) => sum + bytes, 0);
}
