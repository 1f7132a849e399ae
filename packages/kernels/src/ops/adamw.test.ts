import { describe, it } from 'vitest';
import { expectAllClose, randomValues } from '../../test/reference.ts';
import { runOp } from '../../test/run-op.ts';
import { adamw, addDrift } from './adamw.ts';
import { STEP, STEP_ELEMENTS } from './step_values.ts';
import { sumSquares, sumSquaresPartials } from './sum_squares.ts';

const [beta1, beta2, eps] = [0.9, 0.999, 1e-8];

interface Hyperparameters {
  readonly learningRate: number;
  readonly clipNorm: number;
  readonly weightDecay: number;
}

/** float64 reference of step t = 1, 2, …: torch's clip_grad_norm_, then torch.optim.AdamW. Updates its arguments. */
function reference(
  w: Float64Array,
  g: Float32Array,
  m: Float64Array,
  v: Float64Array,
  t: number,
  h: Hyperparameters,
): void {
  const norm = Math.sqrt(g.reduce((sum, value) => sum + value * value, 0));
  const clip = h.clipNorm > 0 ? Math.min(1, h.clipNorm / (norm + 1e-6)) : 1;
  for (let i = 0; i < w.length; i++) {
    const gradient = (g[i] ?? 0) * clip;
    const first = beta1 * (m[i] ?? 0) + (1 - beta1) * gradient;
    const second = beta2 * (v[i] ?? 0) + (1 - beta2) * gradient * gradient;
    m[i] = first;
    v[i] = second;
    const decayed = (w[i] ?? 0) * (1 - h.learningRate * h.weightDecay);
    const denominator = Math.sqrt(second) / Math.sqrt(1 - beta2 ** t) + eps;
    w[i] = decayed - (h.learningRate / (1 - beta1 ** t)) * (first / denominator);
  }
}

function stepValues(t: number, h: Hyperparameters): Float32Array<ArrayBuffer> {
  const step = randomValues(9, STEP_ELEMENTS);
  step[STEP.learningRate] = h.learningRate;
  step[STEP.biasCorrection1] = 1 - beta1 ** t;
  step[STEP.biasCorrection2] = 1 - beta2 ** t;
  step[STEP.clipNorm] = h.clipNorm;
  step[STEP.weightDecay] = h.weightDecay;
  return step;
}

describe('adamw', () => {
  it.each([
    ['clipping', 131, 2, { learningRate: 0.01, clipNorm: 1, weightDecay: 0.1 }],
    ['a clip above the norm', 268, 2, { learningRate: 0.003, clipNorm: 1000, weightDecay: 0.01 }],
    ['gradients as small as epsilon', 12, 2e-8, { learningRate: 0.01, clipNorm: 1, weightDecay: 0 }],
    ['clipping off', 7, 2, { learningRate: 0.01, clipNorm: 0, weightDecay: 0 }],
  ])('follows torch for five steps with %s, %i weights', async (_, length, scale, h) => {
    let state = {
      ...{
        w: randomValues(1, length),
        g: randomValues(0, length),
        m: new Float32Array(length),
        v: new Float32Array(length),
      },
      ...{ partials: new Float32Array(sumSquaresPartials(length)), total: new Float32Array(1), step: stepValues(1, h) },
    };
    const [w, m, v] = [Float64Array.from(state.w), new Float64Array(length), new Float64Array(length)];
    for (let t = 1; t <= 5; t++) {
      const g = randomValues(10 + t, length, t === 3 ? scale / 1e6 : scale);
      state = await runOp({ ...state, g, step: stepValues(t, h) }, (b, views) => {
        sumSquares(b, { ...views, x: [{ view: views.g, length }] });
        adamw(b, { ...views, sumSquares: views.total, length, beta1, beta2, eps });
      });
      reference(w, g, m, v, t, h);
      expectAllClose(state.m, m);
      expectAllClose(state.v, v);
      expectAllClose(state.w, w, 5e-7);
    }
  });

  it.each([131, 132])('takes the drift of %i weights at the learning rate', async (length) => {
    const [w, drift, step] = [
      randomValues(1, length),
      randomValues(2, length),
      stepValues(1, { learningRate: 0.3, clipNorm: 0, weightDecay: 0 }),
    ];
    const result = await runOp({ w, drift, step }, (b, views) => addDrift(b, { ...views, length }));
    expectAllClose(
      result.w,
      w.map((value, i) => value - 0.3 * (drift[i] ?? 0)),
      1e-7,
    );
  });
});
