import { describe, expect, it } from 'vitest';
import { dot, expectAllClose, numericGradient, randomValues, unwritten } from '../../test/reference.ts';
import { runOp } from '../../test/run-op.ts';
import { swigluBackward, swigluForward } from './swiglu.ts';

const reference = (gate: ArrayLike<number>, up: ArrayLike<number>) =>
  Float64Array.from(gate, (g, i) => (g / (1 + Math.exp(-g))) * (up[i] ?? 0));

describe('swiglu', () => {
  it.each([21, 320, 1000])('multiplies %i gated values', async (length) => {
    const [gate, up] = [randomValues(1, length, 4), randomValues(2, length)];
    const { y } = await runOp({ gate, up, y: unwritten(length) }, (b, views) => swigluForward(b, { ...views, length }));
    expectAllClose(y, reference(gate, up));
  });

  it.each([21, 320])('backward of %i values', async (length) => {
    const [gate, up, dy] = [randomValues(3, length, 3), randomValues(4, length), randomValues(5, length)];
    const { gate: dgate, up: dup } = await runOp({ gate, up, dy }, (b, views) =>
      swigluBackward(b, { ...views, length }),
    );
    expectAllClose(
      dgate,
      numericGradient((moved) => dot(reference(moved, up), dy), gate),
    );
    expectAllClose(
      dup,
      numericGradient((moved) => dot(reference(gate, moved), dy), up),
    );
  });

  it('stays finite at the ends of the range', async () => {
    const gate = Float32Array.of(-1e4, -200, -90, 90, 1e4);
    const ones = new Float32Array(5).fill(1);
    const { y } = await runOp({ gate, up: ones, y: unwritten(5) }, (b, v) => swigluForward(b, { ...v, length: 5 }));
    expectAllClose(y, [0, 0, 0, 90, 1e4]);
    const back = await runOp({ gate, up: ones, dy: ones }, (b, v) => swigluBackward(b, { ...v, length: 5 }));
    expectAllClose(back.gate, [0, 0, 0, 1, 1]);
    expect([...back.up].every(Number.isFinite)).toBe(true);
  });
});
