import { FlError } from './error.ts';

/** Whether every element is a finite number (no NaN, no infinity). */
export function allFinite(vector: Float32Array): boolean {
  for (let i = 0; i < vector.length; i++) if (!Number.isFinite(vector[i])) return false;
  return true;
}

/** a − b, (length). Throws FlError `wrong-shape` when the lengths differ. */
export function subtract(a: Float32Array, b: Float32Array): Float32Array<ArrayBuffer> {
  if (a.length !== b.length)
    throw new FlError('wrong-shape', `subtract: got lengths ${a.length} and ${b.length}, expected equal ones`);
  const result = new Float32Array(a.length);
  for (let i = 0; i < a.length; i++) result[i] = (a[i] as number) - (b[i] as number);
  return result;
}

/** Euclidean norm, summed in float64. */
export function l2Norm(vector: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < vector.length; i++) sum += (vector[i] as number) ** 2;
  return Math.sqrt(sum);
}
