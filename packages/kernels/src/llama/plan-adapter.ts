import { STEP_ELEMENTS } from '../ops/step_values.ts';
import { sumSquaresPartials } from '../ops/sum_squares.ts';

/** What training a flat adapter of `length` elements always holds; optimizer.ts allocates by it and plan.ts counts by it. */
export function adapterElements(length: number) {
  return {
    adapter: length,
    gradient: length,
    m: length,
    v: length,
    partials: sumSquaresPartials(length),
    sumSquares: 1,
    step: STEP_ELEMENTS,
  } as const;
}
