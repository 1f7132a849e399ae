import { z } from 'zod';
import { type Algorithm, EMPTY_STATE } from './algorithm.ts';
import { addDelta, byParticipantId, weightedMeanDelta } from './weighted-mean.ts';

const hyper = z.strictObject({
  client: z
    .number()
    .int()
    .min(0)
    .default(0)
    .describe('Which participant trains alone, counted from 0 in order of joining.'),
  rounds: z
    .enum(['every', 'drawn'])
    .default('every')
    .describe(
      'Train in every round, or only in those for which a federation with the same seed draws this participant.',
    ),
});

/**
 * Local training, the baseline without exchange: w ← w + Δ_k of one participant, who never sees the others' updates.
 * `rounds` says when it trains: in every round, as OpenFedLLM's clients alone do (with all sampled, as many steps as in a
 * federation), or in the rounds for which a federation of the same seed draws it, so that it takes the same steps however few are
 * drawn; the others pass with the model as it is (rule R26 of `round/SPEC.md`). Should several updates come all the same,
 * the one with the lowest participant id is taken.
 */
export const local = {
  id: 'local',
  title: 'Local only',
  summary: 'One participant trains alone; the baseline that federation has to beat.',
  hyper,
  exchanges: false,
  soleClient: (hyper) => hyper.client,
  onlyWhenDrawn: (hyper) => hyper.rounds === 'drawn',
  initialState: () => EMPTY_STATE,
  initialClientState: () => EMPTY_STATE,
  localRule: () => ({ mu: 0 }),
  serverStep: ({ weights, updates, state }) => ({
    weights: addDelta(
      weights,
      weightedMeanDelta([...updates].sort(byParticipantId).slice(0, 1), weights.length, 'uniform'),
    ),
    state,
  }),
} as const satisfies Algorithm<z.output<typeof hyper>>;
