import { z } from 'zod';
import { FlError } from '../error.ts';
import type { Algorithm, ClientUpdate } from './algorithm.ts';
import { vectorOf } from './state-vector.ts';
import { addDelta, byParticipantId, weightedMeanDelta, weighting } from './weighted-mean.ts';

const hyper = z.strictObject({
  driftTarget: z
    .enum(['weights', 'gradient'])
    .default('weights')
    .describe(
      'Where the correction c − c_k acts: on the weights after each optimiser step, as OpenFedLLM has it, or on the gradient.',
    ),
  weighting,
});

/**
 * SCAFFOLD (Karimireddy et al. 2020, arXiv 1910.06378) with option II for the control variates. Server: c; client: c_k; both
 * begin at 0.
 *
 *   client, after each optimiser step:  w_k ← w_k − lr·(c − c_k)
 *   client, after the round:            c_k⁺ = c_k − c + (w − w_k)/(steps·lr),  sends Δ_k and Δc_k = c_k⁺ − c_k
 *   server:                             w ← w + Σ p_k Δ_k,  c ← c + (1/N) Σ Δc_k      (N: all clients, sampled or not)
 *
 * The paper's client is SGD, for which correcting the gradient and correcting the weights are the same. With AdamW they are
 * not: (w − w_k)/(steps·lr) is a mean normalised direction with elements of order 1, not a gradient. OpenFedLLM therefore
 * corrects the weights outside AdamW, the default; `driftTarget: 'gradient'` is the paper's formula as it is written. The
 * paper averages uniformly with a server step size; OpenFedLLM weights by examples with step size 1 (`weighting`).
 */
export const scaffold = {
  id: 'scaffold',
  title: 'SCAFFOLD',
  summary:
    'Corrects every step of a participant by how its direction differs from the average; uploads are twice as large.',
  hyper,
  exchanges: true,
  shares: ['c'],
  extras: ['controlDelta'],
  initialState: (length) => ({ vectors: { c: new Float32Array(length) }, numbers: {} }),
  initialClientState: (length) => ({ vectors: { ck: new Float32Array(length) }, numbers: {} }),
  localRule: ({ driftTarget }, clientState, shared) => {
    const { c, ck } = controls(clientState.vectors, shared);
    return { mu: 0, drift: c.map((value, i) => value - (ck[i] as number)), driftTarget };
  },
  clientStep: ({ clientState, shared, start, trained, steps, learningRate }) => {
    if (!(steps * learningRate > 0)) {
      throw new FlError(
        'invalid',
        `scaffold: got ${steps} steps at learning rate ${learningRate}, expected both positive`,
      );
    }
    const { c, ck } = controls(clientState.vectors, shared, start.length);
    const next = new Float32Array(start.length);
    const controlDelta = new Float32Array(start.length);
    for (let i = 0; i < start.length; i++) {
      const direction = ((start[i] as number) - (trained[i] as number)) / (steps * learningRate);
      const delta = direction - (c[i] as number); // c_k⁺ − c_k
      next[i] = (ck[i] as number) + delta;
      controlDelta[i] = delta;
    }
    return { state: { vectors: { ck: next }, numbers: {} }, extra: { controlDelta } };
  },
  serverStep: ({ weights, updates, hyper, state, clients }) => {
    const c = vectorOf(state.vectors, 'c', weights.length, 'scaffold state');
    return {
      weights: addDelta(weights, weightedMeanDelta(updates, weights.length, hyper.weighting)),
      state: { vectors: { c: addDelta(c, meanControlDelta(updates, weights.length, clients)) }, numbers: {} },
    };
  },
} as const satisfies Algorithm<z.output<typeof hyper>>;

function controls(
  own: Readonly<Record<string, Float32Array>>,
  shared: Readonly<Record<string, Float32Array>>,
  length?: number,
) {
  const ck = vectorOf(own, 'ck', length ?? own.ck?.length ?? 0, 'scaffold client state');
  return { ck, c: vectorOf(shared, 'c', ck.length, 'the state that scaffold shares') };
}

/** (1/N) Σ Δc_k, (length), in float64 in the order of participant ids. FlError `invalid` when fewer clients than updates are stated. */
function meanControlDelta(updates: readonly ClientUpdate[], length: number, clients: number): Float64Array {
  if (!(clients >= updates.length)) {
    throw new FlError(
      'invalid',
      `scaffold: got ${clients} clients for ${updates.length} updates, expected as many or more`,
    );
  }
  const mean = new Float64Array(length);
  for (const update of [...updates].sort(byParticipantId)) {
    const delta = vectorOf(update.extra, 'controlDelta', length, `update of ${update.participantId}`);
    for (let i = 0; i < length; i++) mean[i] = (mean[i] as number) + (delta[i] as number) / clients;
  }
  return mean;
}
