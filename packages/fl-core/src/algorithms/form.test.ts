import { expect, it } from 'vitest';
import { z } from 'zod';
import { algorithmForms, formFields } from './form.ts';
import { ALGORITHM_IDS, ALGORITHMS, algorithmSettings } from './registry.ts';

it('describes every kind of input', () => {
  const schema = z.object({
    beta: z.number().min(0).max(0.5).default(0.25).describe('Momentum.'),
    rounds: z.number().int().min(1),
    warm: z.boolean().default(true),
    kind: z.enum(['a', 'b']).default('b'),
    label: z.string(),
  });
  const none = { min: null, max: null, choices: [], description: '' };
  expect(formFields(schema)).toEqual([
    { ...none, name: 'beta', type: 'number', default: 0.25, min: 0, max: 0.5, description: 'Momentum.' },
    { ...none, name: 'rounds', type: 'integer', default: null, min: 1 },
    { ...none, name: 'warm', type: 'boolean', default: true },
    { ...none, name: 'kind', type: 'choice', default: 'b', choices: ['a', 'b'] },
    { ...none, name: 'label', type: 'text', default: null },
  ]);
});

it('refuses what a form cannot show', () => {
  expect(() => formFields(z.object({ deep: z.object({}) }))).toThrow('deep');
});

it.each(ALGORITHM_IDS)('gives %s a form whose defaults are valid and whose fields are explained', (id) => {
  const form = algorithmForms().find((one) => one.id === id);
  expect(form?.title).toBe(ALGORITHMS[id].title);
  const fields = form?.fields ?? [];
  const hyper = Object.fromEntries(fields.map((field) => [field.name, field.default]));
  expect(algorithmSettings.parse({ id, hyper })).toEqual(algorithmSettings.parse({ id }));
  for (const field of fields) expect(field.description).not.toBe('');
});
