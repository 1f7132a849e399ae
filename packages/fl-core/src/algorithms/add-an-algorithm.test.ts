import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { type Algorithm, EMPTY_STATE } from './algorithm.ts';
import { formsOf } from './form.ts';
import { describeLaws } from './laws.test-support.ts';
import { ALGORITHMS, type SettingsInputOf, settingsSchema } from './registry.ts';
import { addDelta, weightedMeanDelta } from './weighted-mean.ts';

// Step 1 of "Add an algorithm": its file.
const hyper = z.strictObject({
  stride: z.number().min(0).max(1).default(0.5).describe('How far the server goes towards the average.'),
  counting: z.enum(['examples', 'uniform']).default('uniform').describe('How much each participant counts.'),
});
/** w ← w + stride Σ p_k Δ_k. */
const stride = {
  id: 'stride',
  title: 'Stride',
  summary: 'Goes part of the way.',
  hyper,
  exchanges: true,
  initialState: () => EMPTY_STATE,
  initialClientState: () => EMPTY_STATE,
  localRule: () => ({ mu: 0 }),
  serverStep: ({ weights, updates, hyper, state }) => ({
    weights: addDelta(
      weights,
      weightedMeanDelta(updates, weights.length, hyper.counting).map((d) => hyper.stride * d),
    ),
    state,
  }),
} as const satisfies Algorithm<z.output<typeof hyper>>;

// Step 2: its name in the table.
const table = { ...ALGORITHMS, stride } as const;

// Step 3: what it computes.
describe('an algorithm added by the recipe of the README', () => {
  const schema = settingsSchema(table);

  it('is accepted by the settings that a run and the wire take', () => {
    const input: SettingsInputOf<typeof table> = { id: 'stride', hyper: { stride: 0.25 } };
    expect(schema.parse(input)).toEqual({ id: 'stride', hyper: { stride: 0.25, counting: 'uniform' } });
    expect(schema.parse({ id: 'stride' }).hyper).toEqual({ stride: 0.5, counting: 'uniform' });
    expect(schema.safeParse({ id: 'stride', hyper: { stride: 2 } }).success).toBe(false);
    expect(schema.parse({ id: 'fedavg' })).toEqual({ id: 'fedavg', hyper: { weighting: 'examples' } });
    expect(settingsSchema(ALGORITHMS).safeParse({ id: 'stride' }).success).toBe(false);
  });

  it('has a form', () => {
    const form = formsOf(table).find(({ id }) => id === 'stride');
    const description = 'How far the server goes towards the average.';
    expect(form?.fields[0]).toEqual({
      name: 'stride',
      type: 'number',
      default: 0.5,
      min: 0,
      max: 1,
      choices: [],
      description,
    });
    expect(form?.fields[1]).toMatchObject({ type: 'choice', choices: ['examples', 'uniform'] });
    expect(form).toMatchObject({ title: 'Stride', summary: 'Goes part of the way.' });
  });
});

describeLaws({ stride }, []);
