import { describe, expect, it } from 'vitest';
import { dot, expectAllClose, numericGradient, randomValues } from '../../test/reference.ts';
import { runOp } from '../../test/run-op.ts';
import { affineCorrection } from './affine_correction.ts';
import { STEP, STEP_ELEMENTS } from './step_values.ts';

describe('affine_correction', () => {
  it.each([21, 320])('adds the gradient of the proximal and drift terms to %i values', async (length) => {
    const mu = 0.37;
    const [grad, w, w0, drift] = [1, 2, 3, 4].map((seed) => randomValues(seed, length)) as [never, never, never, never];
    const step = randomValues(5, STEP_ELEMENTS);
    step[STEP.mu] = mu;
    const result = await runOp({ grad, w, w0, drift, step }, (b, views) => affineCorrection(b, { ...views, length }));
    const loss = (x: Float64Array) =>
      dot(grad, x) + dot(drift, x) + x.reduce((sum, value, i) => sum + (mu / 2) * (value - (w0[i] ?? 0)) ** 2, 0);
    expectAllClose(result.grad, numericGradient(loss, w));
  });

  it('changes nothing without μ and drift', async () => {
    const [grad, w, w0] = [randomValues(1, 7), randomValues(2, 7), randomValues(3, 7)];
    const buffers = { grad, w, w0, drift: new Float32Array(7), step: new Float32Array(STEP_ELEMENTS) };
    const result = await runOp(buffers, (b, views) => affineCorrection(b, { ...views, length: 7 }));
    expect([...result.grad]).toEqual([...grad]);
  });
});
