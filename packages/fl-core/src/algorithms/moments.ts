import { z } from 'zod';
import type { AlgorithmState } from './algorithm.ts';
import { vectorOf } from './state-vector.ts';

/** Hyperparameters of the server optimisers, with OpenFedLLM's defaults. */
export const beta1 = z
  .number()
  .min(0)
  .max(0.9999)
  .default(0.9)
  .describe('How much of the earlier direction the server keeps each round (β₁); 0 is no momentum.');
export const beta2 = z
  .number()
  .min(0)
  .max(0.9999)
  .default(0.99)
  .describe('How slowly the server forgets how large updates were (β₂).');
export const eta = z
  .number()
  .positive()
  .default(1e-3)
  .describe(
    'Step size of the server (η). With η = τ no parameter moves further than the average of the updates, with momentum than the momentum.',
  );
export const tau = z
  .number()
  .positive()
  .default(1e-3)
  .describe('Size of updates below which the server does not adapt (τ). Tune it together with η.');
export const secondMoment = z
  .enum(['delta', 'momentum'])
  .default('delta')
  .describe(
    'What is squared to measure how large updates are: this round’s average (paper), or the momentum (OpenFedLLM).',
  );

/**
 * Zero vectors of these names and a count of the rounds taken. While it is 0 the moments have no earlier value: then m = Δ and
 * v begins at τ². The count is a number of the state, so that every slice of a round sees the same.
 */
export const initialMoments =
  (...names: readonly string[]) =>
  (length: number): AlgorithmState => ({
    vectors: Object.fromEntries(names.map((name) => [name, new Float32Array(length)])),
    numbers: { rounds: 0 },
  });

const isFirstRound = (state: AlgorithmState): boolean => !((state.numbers.rounds ?? 0) > 0);

/** m: Δ in the first round, `rule(m, Δ)` of every element later; (length), in float64. */
export function firstMoment(
  state: AlgorithmState,
  delta: Float64Array,
  rule: (m: number, delta: number) => number,
): Float64Array {
  if (isFirstRound(state)) return delta;
  const m = vectorOf(state.vectors, 'm', delta.length, 'algorithm state');
  return delta.map((d, i) => rule(m[i] as number, d));
}

/** v: `rule(v, x²)` of every element, where v is τ² before the first round; (length), in float64. */
export function nextSecondMoment(
  state: AlgorithmState,
  x: Float64Array,
  tau: number,
  rule: (v: number, square: number) => number,
): Float64Array {
  if (isFirstRound(state)) return x.map((value) => rule(tau * tau, value * value));
  const v = vectorOf(state.vectors, 'v', x.length, 'algorithm state');
  return x.map((value, i) => rule(v[i] as number, value * value));
}

/** η x/(√v + τ), (length), in float64. */
export const adaptedStep = (
  x: Float64Array,
  v: Float64Array,
  { eta, tau }: { readonly eta: number; readonly tau: number },
): Float64Array => x.map((value, i) => (eta * value) / (Math.sqrt(v[i] as number) + tau));

/** What is carried on: the moments, rounded once from float64 to float32, and one round more. */
export const carriedMoments = (
  state: AlgorithmState,
  vectors: Readonly<Record<string, Float64Array>>,
): AlgorithmState => ({
  vectors: Object.fromEntries(Object.entries(vectors).map(([name, vector]) => [name, new Float32Array(vector)])),
  numbers: { rounds: (state.numbers.rounds ?? 0) + 1 },
});
