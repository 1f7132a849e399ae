import { afterAll, describe, expect, it } from 'vitest';
import { fullLogits } from '../../test/full-logits.ts';
import { testGpu } from '../../test/gpu.ts';
import { randomSource, TINY } from '../../test/random-model.ts';
import { adapterLayout, type LoraConfig } from '../lora/layout.ts';
import { uniform } from '../lora/uniform.ts';
import { generate } from './generate.ts';
import { loadModel, type Model } from './weights.ts';

const LORA: LoraConfig = { rank: 2, alpha: 4, dropout: 0.5, targets: ['q_proj', 'v_proj', 'down_proj'] };
const layout = adapterLayout(TINY, LORA);
const adapter = { layout, vector: Float32Array.from({ length: layout.length }, (_, i) => uniform(4, i) - 0.5) };
const opened: Model[] = [];
async function model(dtype: 'int8' | 'f32'): Promise<Model> {
  const loaded = await loadModel(await testGpu(), randomSource(TINY, dtype, 8, 2));
  opened.push(loaded);
  return loaded;
}
afterAll(() => {
  for (const each of opened) each.destroy();
});

/** Logits after the last token, by the full forward pass over the whole sequence. */
async function lastLogits(m: Model, ids: readonly number[]): Promise<Float32Array> {
  return (await fullLogits(m, adapter, ids)).subarray(-TINY.vocabSize);
}

describe('generate', () => {
  it.each(['f32', 'int8'] as const)(
    'picks with its cache what the full %s forward pass picks, token by token',
    async (dtype) => {
      const m = await model(dtype);
      const promptIds = [1, 17, 5];
      const { tokenIds } = await generate(m, { promptIds, maxTokens: 12, adapter, stopIds: [] });
      expect(tokenIds).toHaveLength(12);
      expect(new Set(tokenIds).size).toBeGreaterThan(2); // a stuck model would pass whatever the cache holds
      for (let i = 0; i < tokenIds.length; i++) {
        const logits = await lastLogits(m, [...promptIds, ...tokenIds.slice(0, i)]);
        expect(logits.indexOf(Math.max(...logits))).toBe(tokenIds[i]);
      }
      const { tokenIds: untuned } = await generate(m, { promptIds, maxTokens: 12, stopIds: [] });
      expect(untuned).not.toEqual(tokenIds);
    },
  );

  it('samples by seed, stops at stop tokens, at the budget, at the last position and on abort', async () => {
    const m = await model('f32');
    const run = (options: object) => generate(m, { promptIds: [1, 3], maxTokens: 20, stopIds: [], ...options });
    const sampled = (seed: number) => run({ temperature: 1.5, topP: 0.95, seed });
    const [a, again, b] = [await sampled(1), await sampled(1), await sampled(2)];
    expect(again).toEqual(a);
    expect(b).not.toEqual(a);
    const greedy = (await run({})).tokenIds;
    const stop = greedy[4] ?? -1;
    expect((await run({ stopIds: [stop] })).tokenIds).toEqual(greedy.slice(0, greedy.indexOf(stop)));
    expect((await run({ promptIds: Array<number>(90).fill(3), maxTokens: 50 })).tokenIds).toHaveLength(6);
    const abort = new AbortController();
    const seen: number[] = [];
    const onToken = (token: number) => {
      seen.push(token);
      if (seen.length === 3) abort.abort();
    };
    expect((await run({ onToken, signal: abort.signal })).tokenIds).toEqual(greedy.slice(0, 3));
    expect(seen).toEqual(greedy.slice(0, 3));
  });

  it('refuses prompts that the model cannot take', async () => {
    const m = await model('f32');
    await expect(generate(m, { promptIds: [], maxTokens: 1 })).rejects.toThrow(/no tokens/);
    await expect(generate(m, { promptIds: [40], maxTokens: 1 })).rejects.toThrow(/token 40/);
    await expect(generate(m, { promptIds: Array<number>(96).fill(1), maxTokens: 1 })).rejects.toThrow(/96 tokens/);
  });
});
