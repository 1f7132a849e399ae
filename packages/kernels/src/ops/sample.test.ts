import { describe, expect, it } from 'vitest';
import { sampleToken } from './sample.ts';

const logits = Float32Array.of(1.5, -0.5, 3.25, 0.25, 3.25, Number.NEGATIVE_INFINITY);

/** Shares of each token over a fine, even grid of random numbers: exact up to 1 / draws. */
function shares(options: { temperature: number; topP: number }, draws = 20_000): number[] {
  const counts = new Array<number>(logits.length).fill(0);
  for (let i = 0; i < draws; i++) {
    const id = sampleToken(logits, { ...options, random: () => (i + 0.5) / draws });
    counts[id] = (counts[id] ?? 0) + 1 / draws;
  }
  return counts;
}

function softmax(values: readonly number[]): number[] {
  const weights = values.map((value) => Math.exp(value));
  const sum = weights.reduce((a, b) => a + b, 0);
  return weights.map((weight) => weight / sum);
}

describe('sampleToken', () => {
  it('is greedy at temperature 0, and the lowest id wins a tie', () => {
    expect(sampleToken(logits, { temperature: 0, topP: 1, random: () => 0.999 })).toBe(2);
  });

  it.each([0.5, 1, 2])('draws from the softmax at temperature %f', (temperature) => {
    const expected = softmax([...logits].map((value) => value / temperature));
    shares({ temperature, topP: 1 }).forEach((share, id) => {
      expect(share).toBeCloseTo(expected[id] ?? 0, 3);
    });
  });

  it('keeps the smallest set whose probability reaches topP', () => {
    const [a, , c, , e] = softmax([...logits]) as [number, number, number, number, number];
    const kept = a + c + e;
    const drawn = shares({ temperature: 1, topP: c + e + 0.01 });
    [a / kept, 0, c / kept, 0, e / kept, 0].forEach((share, id) => {
      expect(drawn[id]).toBeCloseTo(share, 3);
    });
    expect(shares({ temperature: 1, topP: 0.01 })[2]).toBeCloseTo(1, 6);
  });

  it.each([
    [{ temperature: -1, topP: 1 }, /temperature -1/],
    [{ temperature: Number.NaN, topP: 1 }, /temperature NaN/],
    [{ temperature: 1, topP: 0 }, /topP 0/],
  ])('refuses %o', (options, message) => {
    expect(() => sampleToken(logits, { ...options, random: Math.random })).toThrow(message);
  });

  it('refuses logits that hold NaN or no finite value', () => {
    const options = { temperature: 1, topP: 0.9, random: () => 0.5 };
    expect(() => sampleToken(Float32Array.of(1, Number.NaN, 2), options)).toThrow(/diverged/);
    expect(() => sampleToken(new Float32Array(3).fill(Number.NEGATIVE_INFINITY), options)).toThrow(/diverged/);
  });
});
