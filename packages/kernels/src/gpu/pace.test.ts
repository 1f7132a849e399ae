import { describe, expect, it } from 'vitest';
import { createPace, DISPATCH_AIM_SECONDS, DISPATCH_LIMIT_SECONDS, rowPieces, type Work } from './pace.ts';

const flops = (count: number): Work => ({ flops: count, bytes: 0, commands: 1 });
const bytes = (count: number): Work => ({ flops: 0, bytes: count, commands: 1 });

describe('pace', () => {
  it('approaches the rate that finished submits show, from below and from above', () => {
    for (const rate of [15e12, 0.05e12]) {
      const pace = createPace('hardware');
      for (let i = 0; i < 12; i++) pace.observe(flops(1e12), 1e12 / rate + 2e-5);
      expect(pace.flopsPerSecond / rate).toBeCloseTo(1, 2);
      expect(pace.seconds(flops(1e12))).toBeCloseTo(1e12 / rate, 1);
    }
  });

  it('learns from matmuls about arithmetic, and from copies about memory', () => {
    const pace = createPace('hardware');
    const { flopsPerSecond, bytesPerSecond } = pace;
    for (let i = 0; i < 8; i++) pace.observe(flops(1e12), 0.1);
    expect(pace.flopsPerSecond).toBeGreaterThan(flopsPerSecond * 10);
    expect(pace.bytesPerSecond).toBe(bytesPerSecond);
    for (let i = 0; i < 8; i++) pace.observe(bytes(40e9), 0.1);
    expect(pace.bytesPerSecond).toBeGreaterThan(bytesPerSecond * 30);
  });

  it('ignores what measures the queue and not the work', () => {
    const pace = createPace('hardware');
    const before = pace.flopsPerSecond;
    pace.observe(flops(1e6), 0.001); // too short
    pace.observe({ flops: 1e9, bytes: 0, commands: 10_000 }, 0.3); // nothing but starts of tiny commands
    expect(pace.flopsPerSecond).toBe(before);
  });

  it('lets one hiccup pass', () => {
    const pace = createPace('hardware');
    for (let i = 0; i < 8; i++) pace.observe(flops(1e12), 0.1);
    const { revision } = pace;
    rowPieces({ pace }, 2048, (0.04 * 1e13) / 2048); // 40 ms at 10 TFLOP/s
    pace.observe(flops(1e12), 3); // thirty times too slow, once
    pace.observe(flops(1e12), 0.1);
    pace.observe(flops(1e12), 0.1);
    pace.observe(flops(1e12), 0.1);
    expect(pace.revision).toBe(revision);
  });

  it('asks for a new recording when pieces became too long, and then cuts shorter ones', () => {
    const pace = createPace('hardware');
    const flopsPerRow = 1e7; // 50 ms are 1000 rows at the rate of the start
    const [first] = rowPieces({ pace }, 960, flopsPerRow);
    expect(first?.count).toBe(960);
    for (let i = 0; i < 10; i++) pace.observe(flops(960 * flopsPerRow), 0.5); // a tenth of the expected rate
    expect(pace.revision).toBe(1);
    const pieces = rowPieces({ pace }, 960, flopsPerRow);
    for (const { count } of pieces) {
      expect((count * flopsPerRow) / pace.flopsPerSecond).toBeLessThanOrEqual(DISPATCH_LIMIT_SECONDS);
    }
    for (let i = 0; i < 10; i++) pace.observe(flops(960 * flopsPerRow), 0.5);
    expect(pace.revision).toBe(1); // the new pieces fit
  });

  it('asks for a new recording when the adapter is much faster than the cuts supposed', () => {
    const pace = createPace('hardware');
    const flopsPerRow = 2 * 4096 * 11008;
    const slow = rowPieces({ pace }, 2048, flopsPerRow).length;
    for (let i = 0; i < 10; i++) pace.observe(flops(185e9), 185e9 / 15e12);
    expect(pace.revision).toBeGreaterThan(0);
    expect(slow).toBeGreaterThan(10);
    expect(rowPieces({ pace }, 2048, flopsPerRow)).toEqual([{ start: 0, count: 2048 }]);
  });

  it('does not record again on software adapters, whose clock is everybody’s', () => {
    const pace = createPace('llvmpipe');
    const pieces = rowPieces({ pace }, 2048, 1e7);
    for (let i = 0; i < 10; i++) pace.observe(flops(1e10), 20);
    expect(pace.revision).toBe(0);
    expect(rowPieces({ pace }, 2048, 1e7)).toEqual(pieces);
  });
});

describe('rowPieces', () => {
  it.each([
    [2048, 2 * 4096 * 11008],
    [2048, 1e10],
    [130, 1e9],
    [65, 1e12],
    [64, 1e12],
    [1, 1e12],
    [4096, 1],
  ])('covers %d rows of %d FLOPs in order, from multiples of 64', (rows, flopsPerRow) => {
    const pace = createPace('hardware');
    const pieces = rowPieces({ pace }, rows, flopsPerRow);
    let next = 0;
    for (const { start, count } of pieces) {
      expect(start).toBe(next);
      expect(start % 64).toBe(0);
      expect(count).toBeGreaterThan(0);
      // 64 rows are the least; anything above them keeps the aim.
      if (count > 64) expect((count * flopsPerRow) / pace.flopsPerSecond).toBeLessThanOrEqual(DISPATCH_AIM_SECONDS);
      next = start + count;
    }
    expect(next).toBe(rows);
  });
});
