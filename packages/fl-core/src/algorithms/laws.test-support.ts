import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeVector } from '../protocol/codec.ts';
import { aggregateUpdates } from './aggregate.ts';
import type { Algorithm, AlgorithmState, ClientUpdate } from './algorithm.ts';
import { formsOf } from './form.ts';
import { encodedUpdate, federationOf } from './random-federation.test-support.ts';
import { type AlgorithmTable, settingsSchema } from './registry.ts';
import { decodeAlgorithmState, encodeAlgorithmState } from './state-codec.ts';

const NUM_RUNS = 40;
/** N in every law: more than ever send an update. */
const CLIENTS = 8;

/** The default hyperparameters, and one variant for every other choice of every option. */
function variantsOf(table: AlgorithmTable): { name: string; id: string; hyper: unknown }[] {
  const schema = settingsSchema(table);
  return formsOf(table).flatMap(({ id, fields }) => [
    { name: id, id, hyper: schema.parse({ id }).hyper },
    ...fields.flatMap(({ name, choices, default: usual }) =>
      choices
        .filter((choice) => choice !== usual)
        .map((choice) => ({
          name: `${id} with ${name} = ${choice}`,
          id,
          hyper: schema.parse({ id, hyper: { [name]: choice } }).hyper,
        })),
    ),
  ]);
}

/**
 * What every algorithm of a table obeys, with its default hyperparameters and with every other choice of its options.
 * `averaging`: those that give the first round's only participant its own model.
 */
export function describeLaws(table: AlgorithmTable, averaging: readonly string[]): void {
  describe.each(variantsOf(table))('laws of $name', ({ id, hyper }) => {
    const algorithm = table[id] as Algorithm;
    const { extras = [], shares = [] } = algorithm;
    const federation = federationOf(extras);
    const step = (weights: Float32Array, updates: readonly ClientUpdate[], state = warm(weights.length)) =>
      algorithm.serverStep({ weights, updates, hyper, state, clients: CLIENTS });
    const extraOf = (length: number, fill: number) => ({
      ...(extras.length > 0 && {
        extra: Object.fromEntries(extras.map((name) => [name, new Float32Array(length).fill(fill)])),
      }),
    });
    /** A state that is not the initial one: what one step leaves. */
    function warm(length: number): AlgorithmState {
      const delta = Float32Array.from({ length }, (_, i) => 0.3 - 0.1 * i);
      const update = { participantId: 'warm', delta, examples: 3, ...extraOf(length, -0.75) };
      return step(new Float32Array(length), [update], algorithm.initialState(length)).state;
    }
    const sharedOf = ({ vectors }: AlgorithmState) =>
      Object.fromEntries(shares.map((name) => [name, vectors[name] as Float32Array]));
    const law = (check: (input: { weights: Float32Array; updates: ClientUpdate[] }) => void) =>
      fc.assert(fc.property(federation, check), { numRuns: NUM_RUNS });

    it('has the id it is registered under', () => {
      expect(algorithm.id).toBe(id);
      expect(algorithm.title).not.toBe('');
      expect(algorithm.summary).not.toBe('');
    });

    it('does not mutate its inputs', () => {
      law(({ weights, updates }) => {
        const state = warm(weights.length);
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
        ...extraOf(2, delta),
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

    it('keeps the model when every update is zero, from the first round on', () => {
      law(({ weights, updates }) => {
        const zeros = new Float32Array(weights.length);
        const zero = updates.map((update) => ({ ...update, delta: zeros, ...extraOf(weights.length, 0) }));
        let state = algorithm.initialState(weights.length);
        for (let round = 0; round < 3; round++) {
          const result = step(weights, zero, state);
          expect(result.weights.every((w, i) => w === weights[i])).toBe(true); // −0 is 0
          state = result.state;
        }
      });
    });

    it('moves no parameter against the only participant of the first round', () => {
      law(({ weights, updates: [only] }) => {
        const { delta } = only as ClientUpdate;
        const result = step(weights, [only as ClientUpdate], algorithm.initialState(weights.length)).weights;
        result.forEach((w, i) => {
          expect([0, Math.sign(delta[i] as number)]).toContain(Math.sign(w - (weights[i] as number)) + 0);
        });
      });
    });

    if (averaging.includes(id))
      it('gives the only participant of the first round its own model', () => {
        law(({ weights, updates: [only] }) => {
          const trained = weights.map((w, i) => w + ((only as ClientUpdate).delta[i] as number));
          expect(step(weights, [only as ClientUpdate], algorithm.initialState(weights.length)).weights).toEqual(
            trained,
          );
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

    it('has a state that survives structuredClone and disk, and keeps its names and lengths', () => {
      law(({ weights, updates }) => {
        const { state } = step(weights, updates);
        expect(structuredClone(state)).toEqual(state);
        expect(decodeAlgorithmState(encodeAlgorithmState(state))).toEqual(state);
        expect(shapeOf(state)).toEqual(shapeOf(algorithm.initialState(weights.length)));
      });
    });

    it('gives finite weights for one participant, one parameter and one example', () => {
      const only = (delta: number): ClientUpdate => ({
        participantId: 'a',
        delta: new Float32Array([delta]),
        examples: 1,
        ...extraOf(1, delta),
      });
      for (const delta of [0, -0.2, 1e-30, -1e15]) {
        expect(Number.isFinite(step(new Float32Array([0.7]), [only(delta)]).weights[0])).toBe(true);
        const cold = step(new Float32Array([0]), [only(delta)], algorithm.initialState(1));
        expect(Number.isFinite(cold.weights[0])).toBe(true);
      }
    });

    it('does not hide a NaN, so that the aggregate is refused', async () => {
      const weights = new Float32Array([1, 2, 3]);
      const good = { participantId: 'a', delta: new Float32Array([0.5, 1, 0.25]), examples: 2, ...extraOf(3, 1) };
      const bad: ClientUpdate[] = [
        { ...good, delta: new Float32Array([0.5, Number.NaN, 0.25]) },
        ...extras.map((name) => ({ ...good, extra: { ...good.extra, [name]: new Float32Array([0, Number.NaN, 0]) } })),
      ];
      const aggregate = (update: ClientUpdate) =>
        aggregateUpdates({
          algorithm,
          hyper,
          adapter: encodeVector(weights, { dtype: 'f32', round: 0 }),
          algorithmState: null,
          updates: [encodedUpdate(update, extras)],
          clients: CLIENTS,
          round: 0,
        });
      await aggregate(good);
      for (const update of bad) await expect(aggregate(update)).rejects.toMatchObject({ code: 'not-finite' });
    });

    it('refuses no updates, another length and two updates by one participant', () => {
      const weights = new Float32Array(3);
      const one = { participantId: 'a', delta: new Float32Array(3), examples: 1, ...extraOf(3, 1) };
      expect(() => step(weights, [])).toThrow(expect.objectContaining({ code: 'invalid' }));
      expect(() => step(weights, [{ ...one, delta: new Float32Array(4) }])).toThrow(
        expect.objectContaining({ code: 'wrong-shape' }),
      );
      if (algorithm.exchanges)
        expect(() => step(weights, [one, one])).toThrow(expect.objectContaining({ code: 'duplicate' }));
    });

    if (extras.length > 0)
      it('refuses an update without its extras', () => {
        const one = { participantId: 'a', delta: new Float32Array(3), examples: 1 };
        expect(() => step(new Float32Array(3), [one])).toThrow(expect.objectContaining({ code: 'invalid' }));
      });

    it('works element by element: slices of any length give the bits of the whole', async () => {
      await fc.assert(
        fc.asyncProperty(federation, fc.integer({ min: 1, max: 10 }), async ({ weights, updates }, sliceLength) => {
          const state = warm(weights.length);
          const whole = step(weights, updates, state);
          const result = await aggregateUpdates({
            algorithm,
            hyper,
            adapter: encodeVector(weights, { dtype: 'f32', round: 4 }),
            algorithmState: encodeAlgorithmState(state),
            updates: updates.map((update) => encodedUpdate(update, extras, 4)),
            clients: CLIENTS,
            round: 4,
            sliceLength,
          });
          expect(result.adapter).toEqual(encodeVector(whole.weights, { dtype: 'f32', round: 5 }));
          const carried =
            result.algorithmState === null ? { vectors: {}, numbers: {} } : decodeAlgorithmState(result.algorithmState);
          expect(carried).toEqual(whole.state);
        }),
        { numRuns: NUM_RUNS },
      );
    });

    it('shares vectors that its state has, and carries no others if it shares any', () => {
      if (shares.length > 0) expect(Object.keys(algorithm.initialState(2).vectors).sort()).toEqual([...shares].sort());
      expect(extras.length === 0 || algorithm.clientStep !== undefined).toBe(true);
    });

    it('has a client rule that is finite and fits the vector, and does not mutate its inputs', () => {
      for (const state of [algorithm.initialState(5), warm(5)]) {
        const inputs = { clientState: algorithm.initialClientState(5), shared: sharedOf(state) };
        const before = structuredClone(inputs);
        const rule = algorithm.localRule(hyper, inputs.clientState, inputs.shared);
        expect(inputs).toEqual(before);
        expect(rule.mu).toBeGreaterThanOrEqual(0);
        expect(Number.isFinite(rule.mu)).toBe(true);
        if (rule.drift !== undefined) expect([...rule.drift]).toHaveLength(5);
        expect(rule.drift?.every(Number.isFinite) ?? true).toBe(true);
      }
    });

    if (algorithm.clientStep !== undefined)
      it('has a client step that obeys the same laws', () => {
        law(({ weights: start, updates: [update] }) => {
          const trained = start.map((w, i) => w + ((update as ClientUpdate).delta[i] as number));
          let clientState = algorithm.initialClientState(start.length);
          for (let round = 0; round < 2; round++) {
            const shared = sharedOf(warm(start.length));
            const input = { hyper, clientState, shared, start, trained, steps: 3, learningRate: 0.5 };
            const before = structuredClone(input);
            const first = algorithm.clientStep?.(input);
            expect(input).toEqual(before);
            expect(algorithm.clientStep?.(input)).toEqual(first);
            expect(Object.keys(first?.extra ?? {}).sort()).toEqual([...extras].sort());
            for (const vector of Object.values(first?.extra ?? {})) {
              expect([vector.length, vector.every(Number.isFinite)]).toEqual([start.length, true]);
            }
            clientState = first?.state as AlgorithmState;
            expect(structuredClone(clientState)).toEqual(clientState);
            expect(decodeAlgorithmState(encodeAlgorithmState(clientState))).toEqual(clientState);
            expect(shapeOf(clientState)).toEqual(shapeOf(algorithm.initialClientState(start.length)));
            algorithm.localRule(hyper, clientState, shared);
          }
        });
      });

    it('fills in its hyperparameters by default, explains them and refuses others', () => {
      const schema = settingsSchema(table);
      expect(algorithm.hyper.safeParse({}).success).toBe(true);
      expect(schema.parse({ id, hyper })).toEqual({ id, hyper });
      expect(schema.safeParse({ id, hyper: 3 }).success).toBe(false);
      expect(schema.safeParse({ id, hyper: { nothing: 1 } }).success).toBe(false);
      const fields = formsOf(table).find((form) => form.id === id)?.fields ?? [];
      for (const field of fields) expect(field.description).not.toBe('');
    });
  });
}

const shapeOf = ({ vectors, numbers }: AlgorithmState) => ({
  vectors: Object.fromEntries(Object.entries(vectors).map(([name, vector]) => [name, vector.length])),
  numbers: Object.keys(numbers).sort(),
});
