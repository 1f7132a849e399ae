import { expect, it } from 'vitest';
import { localTerms } from './local-terms.ts';
import { ALGORITHM_IDS, algorithmSettings } from './registry.ts';

const termsOf = (id: string, hyper = {}) => localTerms(algorithmSettings.parse({ id, hyper }));

it('knows what each algorithm adds to its clients’ steps', () => {
  expect(termsOf('fedprox')).toEqual({ proximal: true, drift: false });
  expect(termsOf('fedprox', { mu: 0 })).toEqual({ proximal: false, drift: false });
  expect(termsOf('scaffold')).toEqual({ proximal: false, drift: true });
  expect(termsOf('scaffold', { driftTarget: 'gradient' })).toEqual({ proximal: false, drift: true });
  for (const id of ALGORITHM_IDS.filter((one) => one !== 'fedprox' && one !== 'scaffold')) {
    expect(termsOf(id), id).toEqual({ proximal: false, drift: false });
  }
});
