import { describe, expect, it } from 'vitest';
import { perplexity, summariseHeldOut } from './held-out.ts';

describe('held-out metrics', () => {
  it('weighs tokens, not rows, for the loss, and rows for the accuracy', () => {
    const results = [
      { lossNats: 3, labelTokens: 1, rows: 1, exactRows: 0 },
      { lossNats: 2, labelTokens: 4, rows: 3, exactRows: 2 },
    ];
    expect(summariseHeldOut(results)).toEqual({ lossNats: 1, accuracy: 0.5, rows: 4, labelTokens: 5 });
  });

  it('gives a perplexity of the vocabulary size for a uniform guess', () => {
    expect(perplexity(Math.log(32000))).toBeCloseTo(32000, 6);
    expect(perplexity(0)).toBe(1);
  });

  it('refuses a set without labels', () => {
    expect(() => summariseHeldOut([])).toThrow(/0 rows/);
    expect(() => summariseHeldOut([{ lossNats: 0, labelTokens: 0, rows: 2, exactRows: 2 }])).toThrow(/2 rows/);
  });
});
