import {
  algorithmOf,
  allFinite,
  decodeVector,
  encodedBytes,
  FlError,
  type RunState,
  type UploadOpen,
} from '@cotune/fl-core';

/** An update is the delta and, behind it, as many vectors more as the run's algorithm has its clients send. */
const extrasOf = ({ config }: RunState): readonly string[] => algorithmOf(config.algorithm).extras ?? [];
const vectorsOf = (state: RunState): number => 1 + extrasOf(state).length;
const what = (state: RunState): string => ['adapter', ...extrasOf(state)].join(' and ');

const MAX_EXAMPLES = 1e9;

/**
 * Throws FlError 'invalid', 'wrong-shape' or 'too-large' for an update that is announced otherwise than the run's are;
 * `adapterLength` counts the elements of its adapter.
 */
export function requireExpected(state: RunState, adapterLength: number, request: UploadOpen): void {
  if (request.examples > MAX_EXAMPLES) {
    throw new FlError('invalid', `examples: got ${request.examples}, expected 1 to ${MAX_EXAMPLES}`);
  }
  if (request.dtype !== state.config.updateDtype) {
    throw new FlError('wrong-shape', `dtype: got ${request.dtype}, expected ${state.config.updateDtype}`);
  }
  const expected = encodedBytes(adapterLength * vectorsOf(state), request.dtype);
  if (request.bytes !== expected) {
    const code = request.bytes > expected ? 'too-large' : 'wrong-shape';
    throw new FlError(code, `bytes: got ${request.bytes}, expected ${expected} for this run's ${what(state)}`);
  }
}

/**
 * The delta in the bytes of an update, (adapterLength). Throws FlError 'stale', 'wrong-shape' or 'not-finite' for bytes that
 * are not what was announced, also behind the delta.
 */
export function readDelta(state: RunState, adapterLength: number, bytes: Uint8Array, round: number): Float32Array {
  const { vector, round: labelled, dtype } = decodeVector(bytes);
  if (labelled !== round) throw new FlError('stale', `the update's header says round ${labelled}, expected ${round}`);
  if (dtype !== state.config.updateDtype) throw new FlError('wrong-shape', `the update is ${dtype}`);
  const expected = adapterLength * vectorsOf(state);
  if (vector.length !== expected) {
    const got = `got ${vector.length} values, expected ${expected} for this run's ${what(state)}`;
    throw new FlError('wrong-shape', got);
  }
  if (!allFinite(vector)) throw new FlError('not-finite', 'the update has NaN or infinite values');
  return vector.subarray(0, adapterLength);
}
