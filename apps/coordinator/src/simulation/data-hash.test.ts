import { expect, test } from 'vitest';
import { dataHash } from './data-hash.ts';

const row = (...inputIds: number[]) => ({ inputIds, labels: inputIds });
const DATA = {
  train: { task: 'sft' as const, examples: [row(1, 2), row(3)] },
  sources: [{ first: 0, labels: ['yes', 'no'], column: ['a', 'b'] }],
  heldOut: { task: 'sft' as const, examples: [row(4)] },
};
const [source] = DATA.sources as [(typeof DATA.sources)[0]];

test.each([
  ['a token', { train: { task: 'sft' as const, examples: [row(1, 2), row(4)] } }, undefined],
  ['where a row ends', { train: { task: 'sft' as const, examples: [row(1), row(2, 3)] } }, undefined],
  ['a held-out token', { heldOut: { task: 'sft' as const, examples: [row(5)] } }, undefined],
  ['which rows are held out', { heldOut: null }, undefined],
  ['a label that rows are dealt by', { sources: [{ ...source, labels: ['yes', 'yes'] }] }, undefined],
  ['a column that rows are dealt by', { sources: [{ ...source, column: ['a', 'a'] }] }, undefined],
  ['how many clients a source has', {}, 2],
])('%s changes it', (_, change, clients) => {
  expect(dataHash({ ...DATA, ...change }, [clients])).not.toBe(dataHash(DATA, [undefined]));
});

test('it does not depend on how tokens are held', () => {
  const heldOut = { task: 'sft' as const, examples: [{ inputIds: Uint32Array.of(4), labels: Int32Array.of(4) }] };
  expect(dataHash({ ...DATA, heldOut }, [])).toBe(dataHash(DATA, []));
});
