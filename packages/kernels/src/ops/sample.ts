export interface SampleOptions {
  /** 0 takes the most likely token. */
  readonly temperature: number;
  /** Keep the smallest set of most likely tokens whose probability reaches this; 1 keeps all. */
  readonly topP: number;
  /** Uniform in [0, 1). */
  readonly random: () => number;
}

/**
 * Draws a token id from logits (vocab) by nucleus sampling (Holtzman et al. 2020). Greedy at temperature 0; the lowest id
 * wins a tie. Throws RangeError for options out of range, and for logits that hold NaN or no finite largest value.
 */
export function sampleToken(logits: Float32Array, { temperature, topP, random }: SampleOptions): number {
  if (!(temperature >= 0)) throw new RangeError(`temperature ${temperature}: expected a number ≥ 0`);
  if (!(topP > 0 && topP <= 1)) throw new RangeError(`topP ${topP}: expected a number in (0, 1]`);
  let best = -1;
  let largest = Number.NEGATIVE_INFINITY;
  logits.forEach((logit, id) => {
    if (Number.isNaN(logit)) throw new RangeError(`logit ${id} is not a number: the model has diverged`);
    if (logit > largest) {
      largest = logit;
      best = id;
    }
  });
  if (!Number.isFinite(largest))
    throw new RangeError('the logits hold no finite largest value: the model has diverged');
  if (temperature === 0) return best;
  const weights = Float64Array.from(logits, (logit) => Math.exp((logit - largest) / temperature));
  const ids = Array.from(weights.keys());
  if (topP < 1) ids.sort((a, b) => (weights[b] ?? 0) - (weights[a] ?? 0) || a - b);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const kept = nucleus(ids, weights, topP * total);
  let target = random() * kept.mass;
  for (const id of kept.ids) {
    target -= weights[id] ?? 0;
    if (target < 0) return id;
  }
  return best; // rounding left a remainder past the last id
}

/** The shortest prefix of `ids` whose weights reach `mass`, and its true mass. */
function nucleus(
  ids: readonly number[],
  weights: Float64Array,
  mass: number,
): { ids: readonly number[]; mass: number } {
  let sum = 0;
  for (const [i, id] of ids.entries()) {
    sum += weights[id] ?? 0;
    if (sum >= mass) return { ids: ids.slice(0, i + 1), mass: sum };
  }
  return { ids, mass: sum };
}
