import { expect, it } from 'vitest';
import { testGpu } from '../../test/gpu.ts';
import { randomSource, TINY } from '../../test/random-model.ts';
import { openNodeGpu } from '../gpu/node.ts';
import { memorySink, memorySource } from '../quantize/memory-files.ts';
import { openModel } from '../quantize/open-model.ts';
import { quantizeModel } from '../quantize/quantize-model.ts';
import { sha256Hex } from '../quantize/sha256.ts';
import type { FileSource } from '../quantize/source.ts';
import { tinyCheckpoint } from '../quantize/tiny-checkpoint.ts';
import { MAX_SLICE_BYTES } from './source.ts';
import { type LoadProgress, loadModel } from './weights.ts';

it('uploads every tensor and reports progress and bytes', async () => {
  const source = randomSource(TINY, 'int8');
  const seen: LoadProgress[] = [];
  const model = await loadModel(await testGpu(), source, { onProgress: (progress) => seen.push(progress) });
  expect(seen.map(({ tensor }) => tensor)).toEqual(source.tensorNames);
  const loaded = seen.at(-1)?.doneBytes ?? 0;
  expect(model.bytes).toBe(loaded + (TINY.headDim / 2) * 4);
  const q = model.layers[1]?.linears.k_proj;
  const stored = await source.tensor('model.layers.1.self_attn.k_proj.weight');
  expect(q).toMatchObject({ dtype: 'int8', rows: 8, cols: 24 });
  if (q?.dtype !== 'int8' || stored.dtype !== 'int8') throw new Error('expected int8');
  expect([...(await model.gpu.readU32(q.q, (8 * 24) / 4))]).toEqual([...new Uint32Array(stored.q.buffer)]);
  model.destroy();
});

it('names the tensor that is missing or misshapen', async () => {
  const gpu = await testGpu();
  const source = randomSource(TINY, 'f32');
  const missing = { ...source, tensorNames: source.tensorNames.filter((name) => !name.includes('1.mlp.up')) };
  await expect(loadModel(gpu, missing)).rejects.toThrow(/no tensor model\.layers\.1\.mlp\.up_proj\.weight/);
  const wider = randomSource({ ...TINY, intermediateSize: 48 }, 'f32');
  await expect(loadModel(gpu, { ...wider, config: TINY })).rejects.toThrow(
    /layers\.0\.mlp\.gate_proj\.weight: got shape \(48, 24\).*expected \(44, 24\)/,
  );
});

/** A model whose embedding is larger than a slice, and its Hugging Face original; both note the longest read of weights. */
async function largeModel() {
  const { files } = tinyCheckpoint({ vocab_size: 70_000, hidden_size: 128, intermediate_size: 12 });
  const sink = memorySink();
  await quantizeModel(memorySource(files), sink, { dtype: 'int8', shardBytes: 3 * 2 ** 20 });
  const watched = (plain: FileSource) => {
    const seen = { longestRead: 0 };
    const source: FileSource = {
      ...plain,
      async read(name, start, end, into) {
        const bytes = await plain.read(name, start, end, into);
        if (/\.(bin|safetensors)$/.test(name)) seen.longestRead = Math.max(seen.longestRead, bytes.byteLength);
        return bytes;
      },
    };
    return { source, seen };
  };
  return { directory: watched(memorySource(sink.files())), original: watched(memorySource(files)) };
}

it('never asks for more than a slice, of a model directory or of the original, and uploads the same', async () => {
  const gpu = await testGpu();
  const { directory, original } = await largeModel();
  const uploads: string[] = [];
  for (const { source, seen } of [directory, original]) {
    const progress: LoadProgress[] = [];
    const model = await loadModel(gpu, await openModel(source), { onProgress: (now) => progress.push(now) });
    expect(seen.longestRead).toBeGreaterThan(2 ** 20);
    expect(seen.longestRead).toBeLessThanOrEqual(MAX_SLICE_BYTES);
    expect(progress.filter(({ tensor }) => tensor === 'model.embed_tokens.weight').length).toBeGreaterThan(1);
    expect(progress.at(-1)).toMatchObject({ doneBytes: progress[0]?.totalBytes, secondsLeft: 0 });
    if (model.embedding.dtype !== 'int8') throw new Error('expected int8');
    const [q, scale] = [
      await gpu.readU32(model.embedding.q, (70_000 * 128) / 4),
      await gpu.readU32(model.embedding.scale, 70_000),
    ];
    expect(q.at(-1)).not.toBe(0);
    uploads.push(await sha256Hex(new Uint8Array(q.buffer)), await sha256Hex(new Uint8Array(scale.buffer)));
    model.destroy();
  }
  expect(uploads[0]).toEqual(uploads[2]);
  expect(uploads[1]).toEqual(uploads[3]);
});

it('loads the same source again after the device was lost', async () => {
  const source = randomSource(TINY, 'int8');
  const lost = await openNodeGpu({ allowSoftware: true });
  await loadModel(lost, source);
  lost.destroy();
  await expect(loadModel(lost, source)).rejects.toMatchObject({ code: 'device-lost' });
  const model = await loadModel(await testGpu(), source);
  const norm = await source.tensor('model.norm.weight');
  if (norm.dtype !== 'f32') throw new Error('expected f32');
  expect(await model.gpu.readF32(model.finalNorm, TINY.hiddenSize)).toEqual(norm.data);
  model.destroy();
});
