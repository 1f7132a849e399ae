import { encodeVector, runConfig } from '@cotune/fl-core/protocol';
import { describe, expect, it } from 'vitest';
import { disclosedItems } from './disclosure.ts';

const config = (updateDtype: 'f32' | 'f16') =>
  runConfig.parse({
    name: 'x',
    modelId: 'm',
    algorithm: { id: 'fedavg' },
    rounds: 7,
    lora: {},
    participants: {},
    updateDtype,
  });

const GPU = { name: 'gpu', features: ['shader-f16'] };

describe('disclosedItems', () => {
  it.each(['f32', 'f16'] as const)('names the size that the codec really sends, %s', (dtype) => {
    const [update] = disclosedItems(config(dtype), 1234, GPU);
    expect(update?.bytesPerRound).toBe(encodeVector(new Float32Array(1234), { dtype, round: 3 }).byteLength);
    expect(update).toMatchObject({ rounds: 7, exact: true });
  });
  it('sends the display name once', () => {
    expect(disclosedItems(config('f32'), 10, GPU).at(-1)).toMatchObject({ rounds: 1 });
  });
});
