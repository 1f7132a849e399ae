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
});

/**
 * Local training, the baseline without exchange: w ← w + Δ_k of one participant, who trains as many rounds and steps
 * as in a federation but never sees the others' updates. Should several updates come all the same, the one with the
 * lowest participant id is taken.
 */
export const local = {
  id: 'local',
  title: 'Local only',
  summary: 'One participant trains alone; the baseline that federation has to beat.',
  hyper,
  exchanges: false,
  soleClient: (hyper) => hyper.client,
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
