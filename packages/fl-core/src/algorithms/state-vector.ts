import { FlError } from '../error.ts';

/** The vector of that name, (length). FlError `invalid` when it is missing, `wrong-shape` when it has another length. */
export function vectorOf(
  vectors: Readonly<Record<string, Float32Array>> | undefined,
  name: string,
  length: number,
  whose: string,
): Float32Array {
  const vector = vectors?.[name];
  if (vector === undefined) {
    const got = Object.keys(vectors ?? {}).join(', ') || 'none';
    throw new FlError('invalid', `${whose} has no vector "${name}"; got ${got}; it may belong to another algorithm`);
  }
  if (vector.length !== length) {
    throw new FlError('wrong-shape', `${whose}: got ${vector.length} values of "${name}", expected ${length}`);
  }
  return vector;
}
