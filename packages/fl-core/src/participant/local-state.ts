import type { Algorithm, AlgorithmState, ClientStep } from '../algorithms/algorithm.ts';
import { decodeAlgorithmState, encodeAlgorithmState } from '../algorithms/state-codec.ts';
import { vectorOf } from '../algorithms/state-vector.ts';
import { FlError } from '../error.ts';
import { allFinite } from '../vector.ts';
import type { OptimizerState } from './participant.ts';
import type { StoredState } from './stored-state.ts';

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

/** Names that AdamW's state has beside the algorithm's own. */
const OPTIMIZER = { m: 'optimizer.m', v: 'optimizer.v', t: 'optimizer.t' } as const;

/** What a client carries on: the state of the algorithm's client half, and AdamW's where the run keeps it. Empty without either. */
export function encodeLocalState(
  algorithm: AlgorithmState | undefined,
  optimizer: OptimizerState | undefined,
): Uint8Array<ArrayBuffer> {
  if (algorithm === undefined && optimizer === undefined) return new Uint8Array(0);
  return encodeAlgorithmState({
    vectors: {
      ...algorithm?.vectors,
      ...(optimizer && { [OPTIMIZER.m]: optimizer.m, [OPTIMIZER.v]: optimizer.v }),
    },
    numbers: { ...algorithm?.numbers, ...(optimizer && { [OPTIMIZER.t]: optimizer.t }) },
  });
}

/**
 * What this client carries on of the algorithm. Storage that was lost or damaged, or is of a vector of another length,
 * counts as none: the client begins as in its first round.
 */
export function carriedState(algorithm: Algorithm, saved: StoredState | undefined, length: number): AlgorithmState {
  const initial = algorithm.initialClientState(length);
  if (saved === undefined) return initial;
  try {
    const { vectors, numbers } = decodeAlgorithmState(saved.bytes);
    for (const name of Object.keys(initial.vectors)) vectorOf(vectors, name, length, 'the kept state');
    return { vectors: ownOf(vectors), numbers: ownOf(numbers) };
  } catch {
    return initial;
  }
}

function ownOf<Value>(named: Readonly<Record<string, Value>>): Record<string, Value> {
  const others: readonly string[] = Object.values(OPTIMIZER);
  return Object.fromEntries(Object.entries(named).filter(([name]) => !others.includes(name)));
}

/**
 * AdamW's state after the update that `counted` names; undefined, so that it begins anew, where that is not what is stored.
 * The state after an earlier update will not do: training has gone on from it once already.
 */
export function keptOptimizer(
  saved: StoredState | undefined,
  counted: string | null,
  length: number,
): OptimizerState | undefined {
  if (saved === undefined || counted === null || saved.updateSha256 !== counted) return undefined;
  try {
    const { vectors, numbers } = decodeAlgorithmState(saved.bytes);
    const optimizer = {
      m: vectorOf(vectors, OPTIMIZER.m, length, 'the kept state'),
      v: vectorOf(vectors, OPTIMIZER.v, length, 'the kept state'),
      t: numbers[OPTIMIZER.t] ?? Number.NaN,
    };
    return isUsable(optimizer) ? optimizer : undefined;
  } catch {
    return undefined;
  }
}

/** What the client carries on of the optimiser after training. FlError `invalid` or `wrong-shape` when the trainer gave no such state, `not-finite` when training diverged. */
export function optimizerToKeep(optimizer: OptimizerState | undefined, length: number): OptimizerState {
  const { m, v, t } = optimizer ?? {};
  const vectors = { ...(m && { m }), ...(v && { v }) };
  const kept = {
    m: vectorOf(vectors, 'm', length, 'the trainer’s optimiser state'),
    v: vectorOf(vectors, 'v', length, 'the trainer’s optimiser state'),
    t: t ?? Number.NaN,
  };
  if (isUsable(kept)) return kept;
  throw new FlError('not-finite', 'training diverged: a moment of AdamW is not finite; lower the learning rate');
}

const isUsable = ({ m, v, t }: OptimizerState): boolean =>
  Number.isSafeInteger(t) && t >= 0 && allFinite(m) && allFinite(v);

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
