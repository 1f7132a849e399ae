import fc from 'fast-check';
import { encodeVector } from '../protocol/codec.ts';
import type { EncodedUpdate } from './aggregate.ts';
import type { ClientUpdate } from './algorithm.ts';

const value = fc.float({ min: -8, max: 8, noNaN: true, noDefaultInfinity: true });
const vectorOf = (length: number): fc.Arbitrary<Float32Array> =>
  fc.array(value, { minLength: length, maxLength: length }).map((values) => new Float32Array(values));

function updateOf(participantId: string, length: number, extras: readonly string[]): fc.Arbitrary<ClientUpdate> {
  const update = {
    participantId: fc.constant(participantId),
    delta: vectorOf(length),
    examples: fc.integer({ min: 1, max: 5000 }),
  };
  if (extras.length === 0) return fc.record(update);
  return fc.record({ ...update, extra: fc.record(Object.fromEntries(extras.map((name) => [name, vectorOf(length)]))) });
}

/** A global vector of up to nine values and the updates of up to six participants, with the extras that an algorithm sends. */
export const federationOf = (extras: readonly string[]) =>
  fc.integer({ min: 1, max: 9 }).chain((length) =>
    fc.record({
      weights: vectorOf(length),
      updates: fc
        .uniqueArray(fc.string({ minLength: 1, maxLength: 6 }), { minLength: 1, maxLength: 6 })
        .chain((ids) => fc.tuple(...ids.map((id) => updateOf(id, length, extras)))),
    }),
  );

/** As a participant encodes it: the delta, then the extras. */
export function encodedUpdate(update: ClientUpdate, extras: readonly string[], round = 0): EncodedUpdate {
  const parts = [update.delta, ...extras.map((name) => update.extra?.[name] ?? new Float32Array(0))];
  const bytes = encodeVector(new Float32Array(parts.flatMap((part) => [...part])), { dtype: 'f32', round });
  const { participantId, examples } = update;
  const read = (offset: number, length: number) => Promise.resolve(bytes.subarray(offset, offset + length));
  return { participantId, examples, bytes: bytes.length, read };
}
