import { readFileSync } from 'node:fs';
import { ALGORITHM_IDS } from '@cotune/fl-core';
import { modelRef, runConfig } from '@cotune/fl-core/protocol';
import { describe, expect, it } from 'vitest';
import { PRESETS } from './presets.ts';
import { ALGORITHM_FORMS, hyperDefaults, initialForm, parseForm } from './run-form.ts';

const model = (allowSoftware: boolean) =>
  modelRef.parse({ id: 'm', title: 'M', url: '/m/', bytes: 1, parameters: 1, allowSoftware });
const named = (allowSoftware: boolean) => {
  const form = initialForm([model(allowSoftware)], [{ id: 'held-out' }]);
  return { ...form, config: { ...form.config, name: 'A run' } };
};

describe('run form', () => {
  it('offers every algorithm of the registry, each with defaults that its schema accepts', () => {
    expect(ALGORITHM_FORMS.map(({ id }) => id)).toEqual(ALGORITHM_IDS);
    for (const form of ALGORITHM_FORMS) {
      const parsed = parseForm({ ...named(true), algorithmId: form.id, hyper: hyperDefaults(form) });
      expect(parsed).toHaveProperty('config.algorithm.id', form.id);
    }
  });
  it('starts with the demo’s settings and held-out data only for the demo model', () => {
    expect(named(true).config).toMatchObject({ evaluationId: 'held-out', template: 'plain', learningRate: 0.01 });
    expect(named(false).config).toMatchObject({ template: 'alpaca', lora: { rank: 32 } });
    expect(named(false).config.evaluationId).toBeUndefined();
  });
  it('every preset is a valid configuration', () => {
    for (const { config } of PRESETS) {
      const { config: base } = named(true);
      expect(runConfig.safeParse({ ...base, ...config, algorithm: { id: 'fedavg' } }).error).toBeUndefined();
    }
  });
  it('has the settings of the demo run that the command line starts', () => {
    const file = new URL('../../../coordinator/demo/demo-run.json', import.meta.url);
    expect(PRESETS[0]?.config).toMatchObject(JSON.parse(readFileSync(file, 'utf8')));
  });
  it('tells problems by field', () => {
    const form = named(true);
    const wrong = parseForm({ ...form, config: { ...form.config, name: '', rounds: 0 } });
    expect(Object.keys('problems' in wrong ? wrong.problems : {}).sort()).toEqual(['name', 'rounds']);
    const swapped = parseForm({ ...form, config: { ...form.config, participants: { min: 5, max: 2 } } });
    expect(swapped).toHaveProperty(['problems', 'participants.max']);
  });
});
