import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeVector } from '../protocol/codec.ts';
import { aggregateUpdates } from './aggregate.ts';
import type { Algorithm, AlgorithmState, ClientUpdate } from './algorithm.ts';
import { ALGORITHM_IDS, ALGORITHMS, algorithmSettings } from './registry.ts';
import { decodeAlgorithmState, encodeAlgorithmState } from './state-codec.ts';

const value = fc.float({ min: -8, max: 8, noNaN: true, noDefaultInfinity: true });
const federation = fc.integer({ min: 1, max: 9 }).chain((length) =>
  fc.record({
    weights: vectorOf(length),
    updates: fc
      .uniqueArray(fc.string({ minLength: 1, maxLength: 6 }), { minLength: 1, maxLength: 6 })
      .chain((ids) => fc.tuple(...ids.map((id) => updateOf(id, length)))),
  }),
);
function vectorOf(length: number): fc.Arbitrary<Float32Array> {
  return fc.array(value, { minLength: length, maxLength: length }).map((values) => new Float32Array(values));
}
function updateOf(participantId: string, length: number): fc.Arbitrary<ClientUpdate> {
  return fc.record({
    participantId: fc.constant(participantId),
    delta: vectorOf(length),
    examples: fc.integer({ min: 1, max: 5000 }),
  });
}

/** A state that is not the initial one: what one step leaves. */
function warm(algorithm: Algorithm, hyper: unknown, length: number): AlgorithmState {
  const delta = Float32Array.from({ length }, (_, i) => 0.3 - 0.1 * i);
  return algorithm.serverStep({
    weights: new Float32Array(length),
    updates: [{ participantId: 'warm', delta, examples: 3 }],
    hyper,
    state: algorithm.initialState(length),
  }).state;
}

const memory = (bytes: Uint8Array) => ({
  bytes: bytes.length,
  read: (offset: number, length: number) => Promise.resolve(bytes.subarray(offset, offset + length)),
});

describe.each(ALGORITHM_IDS)('laws of %s', (id) => {
  const algorithm: Algorithm = ALGORITHMS[id];
  const { hyper } = algorithmSettings.parse({ id });
  const step = (
    weights: Float32Array,
    updates: readonly ClientUpdate[],
    state = warm(algorithm, hyper, weights.length),
  ) => algorithm.serverStep({ weights, updates, hyper, state });
  const law = (check: (input: { weights: Float32Array; updates: ClientUpdate[] }) => void) =>
    fc.assert(fc.property(federation, check), { numRuns: 60 });

  it('has the id it is registered under', () => {
    expect(algorithm.id).toBe(id);
    expect(algorithm.title).not.toBe('');
    expect(algorithm.summary).not.toBe('');
  });

  it('does not mutate its inputs', () => {
    law(({ weights, updates }) => {
      const state = warm(algorithm, hyper, weights.length);
      const before = structuredClone({ weights, updates, state });
      step(weights, updates, state);
      expect({ weights, updates, state }).toEqual(before);
    });
  });

  it('is deterministic', () => {
    law(({ weights, updates }) => {
      expect(step(weights, updates)).toEqual(step(weights, updates));
    });
  });

  it('gives the same bits in whatever order updates come', () => {
    law(({ weights, updates }) => {
      expect(step(weights, [...updates].reverse())).toEqual(step(weights, updates));
      expect(step(weights, [...updates.slice(1), ...updates.slice(0, 1)])).toEqual(step(weights, updates));
    });
  });

  it('gives the same bits in any order where float64 sums differ', () => {
    // 2⁶⁰ + 1 − 2⁶⁰ is 0 or 1, as it is summed.
    const [a, b, c] = [2 ** 60, 1, -(2 ** 60)].map((delta, i) => ({
      participantId: `p${i}`,
      delta: new Float32Array([delta, 0.5]),
      examples: 2,
    })) as [ClientUpdate, ClientUpdate, ClientUpdate];
    const weights = new Float32Array([0, 0]);
    const expected = step(weights, [a, b, c], algorithm.initialState(2));
    for (const order of [
      [a, c, b],
      [b, a, c],
      [b, c, a],
      [c, a, b],
      [c, b, a],
    ]) {
      expect(step(weights, order, algorithm.initialState(2))).toEqual(expected);
    }
  });

  it('keeps the model when every update is zero', () => {
    law(({ weights, updates }) => {
      const zero = updates.map((update) => ({ ...update, delta: new Float32Array(weights.length) }));
      const result = step(weights, zero, algorithm.initialState(weights.length)).weights;
      for (let i = 0; i < weights.length; i++) expect(result[i]! === weights[i]!).toBe(true); // −0 is 0
    });
  });

  it('changes nothing when all example counts are scaled alike', () => {
    law(({ weights, updates }) => {
      const scaled = updates.map((update) => ({ ...update, examples: update.examples * 7 }));
      expect(step(weights, scaled)).toEqual(step(weights, updates));
    });
  });

  it('does not depend on how participants are called, as long as their order is kept', () => {
    law(({ weights, updates }) => {
      const sorted = [...updates].sort((a, b) => (a.participantId < b.participantId ? -1 : 1));
      const renamed = sorted.map((update, i) => ({ ...update, participantId: `client-${i}` }));
      expect(step(weights, renamed)).toEqual(step(weights, updates));
    });
  });

  it('has a state that survives structuredClone and disk', () => {
    law(({ weights, updates }) => {
      const { state } = step(weights, updates);
      expect(structuredClone(state)).toEqual(state);
      expect(decodeAlgorithmState(encodeAlgorithmState(state))).toEqual(state);
    });
  });

  it('gives finite weights for one client and one parameter', () => {
    const result = step(new Float32Array([0.7]), [
      { participantId: 'a', delta: new Float32Array([-0.2]), examples: 1 },
    ]);
    expect(Number.isFinite(result.weights[0])).toBe(true);
    const cold = step(
      new Float32Array([0]),
      [{ participantId: 'a', delta: new Float32Array([0]), examples: 1 }],
      algorithm.initialState(1),
    );
    expect(Number.isFinite(cold.weights[0])).toBe(true);
  });

  it('does not hide a NaN, so that the aggregate is refused', async () => {
    const weights = new Float32Array([1, 2, 3]);
    const updates = [{ participantId: 'a', delta: new Float32Array([0.5, Number.NaN, 0.25]), examples: 2 }];
    expect(step(weights, updates).weights[1]).toBeNaN();
    const encoded = updates.map(({ participantId, examples, delta }) => ({
      participantId,
      examples,
      ...memory(encodeVector(delta, { dtype: 'f32', round: 0 })),
    }));
    const adapter = encodeVector(weights, { dtype: 'f32', round: 0 });
    const input = { algorithm, hyper, adapter, algorithmState: null, updates: encoded, round: 0 };
    await expect(aggregateUpdates(input)).rejects.toMatchObject({ code: 'not-finite' });
  });

  it('refuses no updates, another length and two updates by one participant', () => {
    const weights = new Float32Array(3);
    const one = { participantId: 'a', delta: new Float32Array(3), examples: 1 };
    expect(() => step(weights, [])).toThrow(expect.objectContaining({ code: 'invalid' }));
    expect(() => step(weights, [{ ...one, delta: new Float32Array(4) }])).toThrow(
      expect.objectContaining({ code: 'wrong-shape' }),
    );
    if (algorithm.exchanges)
      expect(() => step(weights, [one, one])).toThrow(expect.objectContaining({ code: 'duplicate' }));
  });

  it('works element by element: slices give the bits of the whole', async () => {
    await fc.assert(
      fc.asyncProperty(federation, fc.integer({ min: 1, max: 4 }), async ({ weights, updates }, sliceLength) => {
        const state = warm(algorithm, hyper, weights.length);
        const whole = step(weights, updates, state);
        const result = await aggregateUpdates({
          algorithm,
          hyper,
          adapter: encodeVector(weights, { dtype: 'f32', round: 4 }),
          algorithmState: encodeAlgorithmState(state),
          updates: updates.map(({ participantId, examples, delta }) => ({
            participantId,
            examples,
            ...memory(encodeVector(delta, { dtype: 'f32', round: 4 })),
          })),
          round: 4,
          sliceLength,
        });
        expect(result.adapter).toEqual(encodeVector(whole.weights, { dtype: 'f32', round: 5 }));
        const carried =
          result.algorithmState === null ? { vectors: {}, numbers: {} } : decodeAlgorithmState(result.algorithmState);
        expect(carried).toEqual(whole.state);
      }),
      { numRuns: 30 },
    );
  });

  it('has a client rule that is finite and fits the vector', () => {
    const rule = algorithm.localRule(hyper, algorithm.initialClientState(5));
    expect(Number.isFinite(rule.mu)).toBe(true);
    if (rule.drift !== undefined) expect(rule.drift).toHaveLength(5);
  });

  it('fills in its hyperparameters by default and refuses unknown types', () => {
    expect(algorithm.hyper.safeParse({}).success).toBe(true);
    expect(algorithmSettings.parse(algorithmSettings.parse({ id }))).toEqual({ id, hyper });
    expect(algorithmSettings.safeParse({ id, hyper: 3 }).success).toBe(false);
  });
});

it('refuses an algorithm that is not in the registry', () => {
  expect(algorithmSettings.safeParse({ id: 'fednothing' }).success).toBe(false);
});
