import { encodeVector, type RunConfigInput, runConfig } from '@cotune/fl-core/protocol';
import { describe, expect, it } from 'vitest';
import { disclosedItems } from './disclosure.ts';

const config = (updateDtype: 'f32' | 'f16', more: Partial<RunConfigInput> = {}) =>
  runConfig.parse({
    name: 'x',
    modelId: 'm',
    algorithm: { id: 'fedavg' },
    rounds: 7,
    lora: {},
    participants: {},
    updateDtype,
    ...more,
  });

const GPU = { name: 'gpu', features: ['shader-f16'] };

describe('disclosedItems', () => {
  it.each(['f32', 'f16'] as const)('names the size that the codec really sends, %s', (dtype) => {
    const [update] = disclosedItems(config(dtype), 1234, GPU);
    expect(update?.bytesPerRound).toBe(encodeVector(new Float32Array(1234), { dtype, round: 3 }).byteLength);
    expect(update).toMatchObject({ rounds: 7, exact: true });
  });
  it('counts the vector that SCAFFOLD sends behind its delta', () => {
    const [update] = disclosedItems(config('f32', { algorithm: { id: 'scaffold' } }), 1234, GPU);
    expect(update?.bytesPerRound).toBe(encodeVector(new Float32Array(2 * 1234), { dtype: 'f32', round: 3 }).byteLength);
    expect(update?.what).toContain('2,468 numbers');
  });
  it('names rewards where pairs are trained on, and only there', () => {
    const said = (task: 'sft' | 'dpo') =>
      disclosedItems(config('f32', { task }), 10, GPU)
        .map(({ what }) => what)
        .join();
    expect(said('dpo')).toContain('reward accuracy and margin');
    expect(said('sft')).not.toContain('reward');
  });
  it('sends the display name once', () => {
    expect(disclosedItems(config('f32'), 10, GPU).at(-1)).toMatchObject({ rounds: 1 });
  });
});
