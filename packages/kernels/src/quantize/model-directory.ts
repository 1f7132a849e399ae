import { joinSlices, MAX_SLICE_BYTES, type ModelSource, sliceRows, type TensorSlice } from '../llama/source.ts';
import { ModelFileError } from './error.ts';
import { type ManifestTensor, type ModelManifest, readManifest, type Segment } from './manifest.ts';
import { readExactly, sizeOf } from './read-file.ts';
import { createSha256 } from './sha256.ts';
import type { Shard } from './shard-writer.ts';
import type { FileSource } from './source.ts';
import { readTokenizer } from './tokenizer-file.ts';
import { type Transfer, transferMeter } from './transfer.ts';

/**
 * Opens a model directory: model.json, shards, tokenizer.json. Checks that every file is there with its size. A shard on disk is
 * hashed before the first of its weights is given, which throws 'hash-mismatch' when it is damaged; of other sources, which hash what
 * they download, `verifyModelDirectory` does so. Throws ModelFileError as `readManifest`, and 'truncated' for a short shard.
 */
export async function openModelDirectory(
  source: FileSource,
): Promise<ModelSource & { readonly manifest: ModelManifest }> {
  const manifest = await readManifest(source);
  await Promise.all(manifest.shards.map(({ file, bytes }) => checkSize(source, file, bytes)));
  const byName = new Map(manifest.tensors.map((tensor) => [tensor.name, tensor]));
  const bytesOf: SegmentReader = readSegments(source, manifest, source.onDisk ? checkOnce(source) : async () => {});
  const slices = (name: string): AsyncGenerator<TensorSlice> => {
    const tensor = byName.get(name);
    if (!tensor) throw new ModelFileError('missing-tensor', 'model.json', `no tensor ${name} in ${source.label}`);
    return readSlices(bytesOf, tensor);
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
    const onBytes = (done: number) => onProgress?.({ file, ...meter.update(before + done) });
    await checkHash(source, { file, bytes, sha256 }, onBytes);
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

async function checkHash(
  source: FileSource,
  { file, bytes, sha256 }: Shard,
  onBytes?: (done: number) => void,
): Promise<void> {
  const got = await fileSha256(source, file, bytes, onBytes);
  if (got === sha256) return;
  throw new ModelFileError('hash-mismatch', file, `got sha256 ${got}, expected ${sha256}; download the file again`);
}

/** `checkHash` of each file until it has passed once. */
function checkOnce(source: FileSource): (shard: Shard) => Promise<void> {
  const checks = new Map<string, Promise<void>>();
  return (shard) => {
    const check = checks.get(shard.file) ?? checkHash(source, shard);
    checks.set(shard.file, check);
    check.catch(() => checks.delete(shard.file));
    return check;
  };
}

async function checkSize(source: FileSource, file: string, bytes: number): Promise<void> {
  const got = await sizeOf(source, file);
  if (got === bytes) return;
  const code = got < bytes ? 'truncated' : 'malformed';
  throw new ModelFileError(code, file, `got ${got} bytes, expected ${bytes}; download the file again`);
}

async function* readSlices(bytesOf: SegmentReader, tensor: ManifestTensor): AsyncGenerator<TensorSlice> {
  const { dtype, shape } = tensor;
  const [rows = 0, cols = 1] = shape;
  const rowBytes = dtype === 'int8' ? cols : 4 * cols;
  const step = Math.min(rows, sliceRows(rowBytes));
  const data = new Uint8Array(step * rowBytes);
  const scale = new Uint8Array(dtype === 'int8' ? step * 4 : 0);
  for (let row = 0; row < rows; row += step) {
    const count = Math.min(step, rows - row);
    await bytesOf(tensor.data, row * rowBytes, data.subarray(0, count * rowBytes));
    if (dtype === 'f32') {
      yield { dtype, shape, row, rows: count, data: new Float32Array(data.buffer, 0, count * cols) };
      continue;
    }
    await bytesOf(tensor.scale ?? [], row * 4, scale.subarray(0, count * 4));
    const q = new Int8Array(data.buffer, 0, count * cols);
    yield { dtype, shape: [rows, cols], row, rows: count, q, scale: new Float32Array(scale.buffer, 0, count) };
  }
}

/** Fills `into` with the bytes from `start` on of what the segments hold together. */
type SegmentReader = (segments: readonly Segment[], start: number, into: Uint8Array<ArrayBuffer>) => Promise<void>;

/** `check` is asked for a shard before its bytes are read. */
function readSegments(
  source: FileSource,
  manifest: ModelManifest,
  check: (shard: Shard) => Promise<void>,
): SegmentReader {
  return async (segments, start, into) => {
    const end = start + into.byteLength;
    let before = 0;
    for (const { shard: index, offset, bytes } of segments) {
      const from = Math.max(start, before);
      const to = Math.min(end, before + bytes);
      const shard = manifest.shards[index];
      if (from < to && shard) {
        await check(shard);
        const target = into.subarray(from - start, to - start);
        const got = await readExactly(source, shard.file, offset + from - before, offset + to - before, target);
        if (got.buffer !== target.buffer) target.set(got);
      }
      before += bytes;
    }
  };
}

function segmentBytes(segments: readonly Segment[]): number {
  return segments.reduce((sum, { bytes }) => sum + bytes, 0);
}
