import { describe, it } from 'vitest';
import { dot, expectAllClose, numericGradient, randomValues, unwritten } from '../../test/reference.ts';
import { ADAPTER_KINDS, runOp } from '../../test/run-op.ts';
import { rmsnormBackward, rmsnormForward } from './rmsnorm.ts';

const eps = 1e-5;

/** float64 reference, (rows, dim). */
function reference(x: ArrayLike<number>, weight: ArrayLike<number>, dim: number): Float64Array {
  return Float64Array.from(x, (value, at) => {
    const row = at - (at % dim);
    let squares = 0;
    for (let i = 0; i < dim; i++) squares += (x[row + i] ?? 0) ** 2;
    return (value / Math.sqrt(squares / dim + eps)) * (weight[at % dim] ?? 0);
  });
}

describe.each(ADAPTER_KINDS)('rmsnorm, variant for %s', (kind) => {
  it.each([
    [5, 64],
    [3, 7],
    [70, 130],
  ])('normalises (%i, %i)', async (rows, dim) => {
    const [x, weight] = [randomValues(1, rows * dim, 3), randomValues(2, dim)];
    const buffers = { x, weight, y: unwritten(rows * dim) };
    const { y } = await runOp(buffers, (b, views) => rmsnormForward(b, { ...views, rows, dim, eps }), kind);
    expectAllClose(y, reference(x, weight, dim));
  });

  it.each([
    [5, 64, false],
    [3, 7, true],
    [67, 5, true],
  ])('backward of (%i, %i), accumulate %s', async (rows, dim, accumulate) => {
    const [x, weight, dy] = [randomValues(3, rows * dim), randomValues(4, dim), randomValues(5, rows * dim)];
    const start = accumulate ? randomValues(6, rows * dim) : unwritten(rows * dim);
    const buffers = { x, weight, dy, dx: start };
    const { dx } = await runOp(buffers, (b, v) => rmsnormBackward(b, { ...v, rows, dim, eps, accumulate }), kind);
    const gradient = numericGradient((moved) => dot(reference(moved, weight, dim), dy), x);
    expectAllClose(dx, accumulate ? gradient.map((value, i) => value + (start[i] ?? 0)) : gradient);
  });

  it('keeps a row of zeros finite', async () => {
    const buffers = { x: new Float32Array(7), weight: randomValues(7, 7), y: unwritten(7) };
    const { y } = await runOp(buffers, (b, views) => rmsnormForward(b, { ...views, rows: 1, dim: 7, eps }), kind);
    expectAllClose(y, new Float32Array(7), 0);
  });
});
