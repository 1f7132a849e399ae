/** Values of one figure over seeds. */
export interface Spread {
  readonly n: number;
  readonly mean: number;
  /** Sample standard deviation, n − 1 in the denominator; null for one value. */
  readonly stdDev: number | null;
}

/** undefined without values. */
export function mean(values: readonly number[]): number | undefined {
  return values.length === 0 ? undefined : values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Mean and sample standard deviation; undefined without values. */
export function spreadOf(values: readonly number[]): Spread | undefined {
  const middle = mean(values);
  if (middle === undefined) return undefined;
  const n = values.length;
  const squares = values.reduce((sum, value) => sum + (value - middle) ** 2, 0);
  return { n, mean: middle, stdDev: n > 1 ? Math.sqrt(squares / (n - 1)) : null };
}

/**
 * P(|T| ≤ tan(θ)·√ν) of Student's t with ν degrees of freedom, a finite sum for whole ν (Abramowitz and Stegun, Handbook of
 * Mathematical Functions, 26.7.3 and 26.7.4). θ from 0 to π/2.
 */
function withinAngle(theta: number, degrees: number): number {
  const cos = Math.cos(theta);
  const odd = degrees % 2 === 1;
  let term = odd ? cos : 1;
  let sum = degrees === 1 ? 0 : term;
  for (let k = odd ? 3 : 2; k <= degrees - 2; k += 2) {
    term *= (cos * cos * (k - 1)) / k;
    sum += term;
  }
  return odd ? (2 / Math.PI) * (theta + Math.sin(theta) * sum) : Math.sin(theta) * sum;
}

/**
 * The t with P(|T| ≤ t) = `confidence`: 12.706 for 0.95 and one degree of freedom. Throws RangeError unless `degrees` is a whole
 * number from 1 and `confidence` is between 0 and 1.
 */
export function tQuantile(confidence: number, degrees: number): number {
  if (!Number.isInteger(degrees) || degrees < 1 || !(confidence > 0 && confidence < 1)) {
    throw new RangeError(
      `t quantile: got confidence ${confidence} and ${degrees} degrees of freedom, expected one between 0 and 1, and ≥ 1`,
    );
  }
  let low = 0;
  let high = Math.PI / 2;
  for (let i = 0; i < 60; i++) {
    const middle = (low + high) / 2;
    if (withinAngle(middle, degrees) < confidence) low = middle;
    else high = middle;
  }
  return Math.tan((low + high) / 2) * Math.sqrt(degrees);
}

/** A mean of paired differences with its 95 % interval. */
export interface PairedDifference extends Spread {
  /** null for one pair, of which no interval can be made. */
  readonly interval: { readonly low: number; readonly high: number } | null;
}

/** Paired t interval: mean ± t(0.95, n − 1)·s/√n. undefined without differences. */
export function pairedDifference(differences: readonly number[]): PairedDifference | undefined {
  const spread = spreadOf(differences);
  if (spread === undefined) return undefined;
  if (spread.stdDev === null) return { ...spread, interval: null };
  const half = (tQuantile(0.95, spread.n - 1) * spread.stdDev) / Math.sqrt(spread.n);
  return { ...spread, interval: { low: spread.mean - half, high: spread.mean + half } };
}
