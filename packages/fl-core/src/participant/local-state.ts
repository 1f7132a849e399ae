import type { Algorithm, AlgorithmState, ClientStep } from '../algorithms/algorithm.ts';
import { decodeAlgorithmState } from '../algorithms/state-codec.ts';
import { vectorOf } from '../algorithms/state-vector.ts';

/**
 * The vectors that `algorithm.shares` names, (length) each, out of the downloaded server state; those of its initial
 * state when there is none yet. FlError `invalid` or `wrong-shape` when the state is not this algorithm's.
 */
export function sharedVectors(
  algorithm: Algorithm,
  downloaded: Uint8Array | null,
  length: number,
): AlgorithmState['vectors'] {
  const { id, shares = [] } = algorithm;
  if (shares.length === 0) return {};
  const { vectors } = downloaded === null ? algorithm.initialState(length) : decodeAlgorithmState(downloaded);
  const whose = `the state of algorithm ${id} that came with the offer`;
  return Object.fromEntries(shares.map((name) => [name, vectorOf(vectors, name, length, whose)]));
}

/**
 * What this client carries on from its last round that counted. Storage that was lost or damaged, or is of a vector of
 * another length, counts as none: the client begins as in its first round.
 */
export function carriedState(algorithm: Algorithm, saved: Uint8Array | undefined, length: number): AlgorithmState {
  const initial = algorithm.initialClientState(length);
  if (saved === undefined) return initial;
  try {
    const state = decodeAlgorithmState(saved);
    for (const name of Object.keys(initial.vectors)) vectorOf(state.vectors, name, length, 'the kept state');
    return state;
  } catch {
    return initial;
  }
}

/** The delta and behind it the vectors that `algorithm.extras` names, in that order. FlError when `clientStep` gave none. */
export function withExtras(algorithm: Algorithm, delta: Float32Array, step: ClientStep | undefined): Float32Array {
  const { id, extras = [] } = algorithm;
  if (extras.length === 0) return delta;
  const whose = `the client step of algorithm ${id}`;
  const vector = new Float32Array(delta.length * (1 + extras.length));
  vector.set(delta);
  extras.forEach((name, e) => {
    vector.set(vectorOf(step?.extra, name, delta.length, whose), (e + 1) * delta.length);
  });
  return vector;
}
