import { expect, it } from 'vitest';
import { testGpu } from '../../test/gpu.ts';
import { randomSource, TINY } from '../../test/random-model.ts';
import { type LoadProgress, loadModel } from './weights.ts';

it('uploads every tensor and reports progress and bytes', async () => {
  const source = randomSource(TINY, 'int8');
  const seen: LoadProgress[] = [];
  const model = await loadModel(await testGpu(), source, { onProgress: (progress) => seen.push(progress) });
  expect(seen.map(({ tensor }) => tensor)).toEqual(source.tensorNames);
  const loaded = seen.at(-1)?.loadedBytes ?? 0;
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
