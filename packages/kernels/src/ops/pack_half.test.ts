import { describe, expect, it } from 'vitest';
import { randomValues, unwritten } from '../../test/reference.ts';
import { runOp } from '../../test/run-op.ts';
import { packHalf, unpackHalf } from './pack_half.ts';

const ROUNDING = 2 ** -11; // half floats have 11 significant bits

describe('pack_half', () => {
  it.each([4, 84, 1000])('keeps %i values to half precision', async (length) => {
    const x = randomValues(1, length, 30);
    const buffers = { x, packed: new Uint32Array(length / 2), y: unwritten(length) };
    const { y, packed } = await runOp(buffers, (b, views) => {
      packHalf(b, { x: views.x, packed: views.packed, length });
      unpackHalf(b, { x: views.y, packed: views.packed, length });
    });
    expect(packed.every((pair) => pair !== 0)).toBe(true);
    x.forEach((value, i) => {
      expect(Math.abs((y[i] ?? Number.NaN) - value)).toBeLessThanOrEqual(ROUNDING * Math.abs(value));
    });
    expect(y.some((value, i) => value !== x[i])).toBe(true);
  });

  it('holds what is too large for a half, and keeps halves exactly', async () => {
    const x = Float32Array.of(1e6, -7e4, 65504, -0.5, 2 ** -14, 1 + 2 ** -10, 0, 3);
    const { y } = await runOp({ x, packed: new Uint32Array(4), y: unwritten(8) }, (b, views) => {
      packHalf(b, { x: views.x, packed: views.packed, length: 8 });
      unpackHalf(b, { x: views.y, packed: views.packed, length: 8 });
    });
    expect([...y]).toEqual([65504, -65504, 65504, -0.5, 2 ** -14, 1 + 2 ** -10, 0, 3]);
  });

  it('refuses lengths that are no multiple of 4', async () => {
    const run = runOp({ x: unwritten(6), packed: new Uint32Array(3) }, (b, views) =>
      packHalf(b, { ...views, length: 6 }),
    );
    await expect(run).rejects.toThrow(/got 6 values/);
  });
});
