import { describe, expect, it } from 'vitest';
import { testGpu } from '../../test/gpu.ts';
import { createArena } from '../gpu/buffers.ts';
import { createProgramBuilder } from '../gpu/program.ts';
import { type BenchClock, clockToUse, median, millisecondsBy, processorShare, spread } from './clock.ts';
import { createNoise } from './fill.ts';
import { LLAMA_2_7B, scaled, scaleFor } from './geometry.ts';
import { benchKernels, figures } from './kernels.ts';
import { dotResult, PEAKS } from './peaks.ts';

const clock: BenchClock = {
  wallMs: () => performance.now(),
  processorMs: () => process.cpuUsage().user / 1000,
  processors: 2,
};

describe('peaks', () => {
  it('expects of dot products what integers of 32 bits give', () => {
    // One turn on one pair of words: x = 0x01020304 + 0x01010101, y = 0x01ff8000 with bytes 0, −128, −1, 1.
    expect(dotResult(0x01020304, 0x01ff8000, 1, 1, 1, 0)).toBe(5 * 0 + 4 * -128 + 3 * -1 + 2 * 1);
    expect(dotResult(0x01020304, 0x00000001, 1, 1, 1, 1)).toBe(6);
    expect(dotResult(0x01020304, 0x00000001, 3, 1, 1, 0)).toBe(5 + 6 + 7);
  });
});

describe('noise', () => {
  it('fills tensors with values of the spread asked for, different from tensor to tensor', async () => {
    const gpu = await testGpu();
    const arena = createArena(gpu.device);
    const b = createProgramBuilder(gpu);
    const noise = createNoise(b, arena);
    const count = 5000;
    const [x, y] = [noise.floats('x', count, 2, 1), noise.floats('y', count, 2, 1)];
    const w = noise.matrix('w', 'int8', 64, 64);
    if (w.dtype !== 'int8') throw new Error('int8 was asked for');
    const program = await b.finish('noise');
    program.run();
    const [xs, ys] = [await gpu.readF32(x, count), await gpu.readF32(y, count)];
    const q = new Int8Array((await gpu.readU32(w.q, 1024)).buffer);
    const scales = await gpu.readF32(w.scale, 64);
    program.destroy();
    arena.destroy();
    for (const values of [xs, ys]) {
      const mean = values.reduce((sum, value) => sum + value, 0) / count;
      const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / count;
      expect(mean).toBeCloseTo(1, 1);
      expect(Math.sqrt(variance)).toBeCloseTo(2 / Math.sqrt(3), 1);
      expect(Math.max(...values)).toBeLessThanOrEqual(3);
      expect(Math.min(...values)).toBeGreaterThanOrEqual(-1);
    }
    const covariance = xs.reduce((sum, value, i) => sum + (value - 1) * ((ys[i] ?? 0) - 1), 0) / count;
    expect(Math.abs(covariance)).toBeLessThan(0.1);
    expect([Math.min(...q), Math.max(...q)]).toEqual([-127, 127]);
    const deviation = Math.sqrt(q.reduce((sum, value) => sum + value * value, 0) / q.length) * (scales[0] ?? 0);
    expect(deviation).toBeCloseTo(0.02, 3);
    expect(new Set(scales).size).toBe(1);
  });
});

describe('bench kernels', () => {
  it('states rates and shares from times: the median of the ratios, repeat by repeat', () => {
    const peaks = [
      { name: 'f32_gflops', variant: 'v', billions: 2 },
      { name: 'bandwidth_gbs', variant: 'w', billions: 1 },
    ] as const;
    const cases = [
      { name: 'matmul', shape: 's', flops: 1e9, bytes: 1e6, peak: 'f32_gflops' },
      { name: 'copy', shape: 't', flops: 1e6, bytes: 5e8, peak: 'bandwidth_gbs' },
    ] as const;
    const times = [
      [10, 20, 40], // peak: 200, 100, 50
      [10, 10, 10],
      [20, 20, 40], // matmul: 50, 50, 25 → shares 0.25, 0.5, 0.5
      [10, 20, 10], // copy: 50, 25, 50 of 100 GB/s
    ];
    const report = figures(peaks, cases, times);
    expect(report.peaks).toEqual({
      f32_gflops: { rate: 100, variant: 'v' },
      bandwidth_gbs: { rate: 100, variant: 'w' },
    });
    expect(report.kernels).toEqual([
      { name: 'matmul', shape: 's', gflops: 50, gbs: 0.05, peak: 'f32_gflops', shareOfPeak: 0.5, ms: 20, spread: 1 },
      { name: 'copy', shape: 't', gflops: 0.1, gbs: 50, peak: 'bandwidth_gbs', shareOfPeak: 0.5, ms: 10, spread: 1 },
    ]);
  });

  it('runs every kernel on the adapter, each against a peak that was measured', async () => {
    // It throws when a peak's results are not those of all the operations that it counts.
    const gpu = await testGpu();
    const before = gpu.memory.bytes;
    const scale = { width: 32, batch: 4, seq: 32 };
    const report = await benchKernels(gpu, { clock, repeats: 1, scale, targetMs: 1 });
    const names = new Set(report.kernels.map(({ name }) => name));
    for (const name of [
      'int8_matmul_forward',
      'int8_matmul_dx',
      'int8_matmul_forward_dp4a',
      'int8_matmul_forward_dp4a8',
      'f32_matmul_forward',
    ]) {
      expect(report.kernels.filter((kernel) => kernel.name === name).map(({ shape }) => shape)).toEqual([
        '16×128→128',
        '16×128→344',
        '16×344→128',
      ]);
    }
    for (const name of [
      'lora_forward',
      'lora_backward',
      'attention_forward',
      'attention_backward',
      'flash_attention_forward',
      'flash_attention_backward',
      'rope',
      'adamw',
    ]) {
      expect(names).toContain(name);
    }
    for (const { peak, shareOfPeak, gflops } of report.kernels) {
      expect(PEAKS).toContain(peak);
      expect(report.peaks[peak]?.rate).toBeGreaterThan(0);
      expect(shareOfPeak).toBeGreaterThan(0);
      expect(gflops).toBeGreaterThan(0);
    }
    expect(report.tokens).toBe(16);
    expect(gpu.memory.bytes).toBe(before);
  }, 240_000);

  it('has Llama-2-7B’s own shapes on hardware', () => {
    expect(scaled(LLAMA_2_7B, scaleFor('hardware'))).toEqual(LLAMA_2_7B);
    expect(scaled(LLAMA_2_7B, scaleFor('llvmpipe'))).toMatchObject({
      hiddenSize: 1024,
      intermediateSize: 2752,
      heads: 8,
    });
  });
});

describe('clock', () => {
  const busy = [
    { wallMs: 100, processorMs: 60 },
    { wallMs: 300, processorMs: 180 },
  ];

  it('turns to processor time when others had the processors', () => {
    expect(processorShare(busy, 2)).toBeCloseTo(0.3, 10);
    expect(clockToUse(processorShare(busy, 2))).toBe('processor');
    expect(clockToUse(processorShare([{ wallMs: 100, processorMs: 195 }], 2))).toBe('wall');
    expect(clockToUse(processorShare([{ wallMs: 100, processorMs: null }], 2))).toBe('wall');
    expect(millisecondsBy('processor', { wallMs: 100, processorMs: 60 }, 2)).toBe(30);
    expect(millisecondsBy('wall', { wallMs: 100, processorMs: 60 }, 2)).toBe(100);
  });

  it('takes medians and spreads', () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 2, 3])).toBe(2.5);
    expect(spread([9, 10, 12])).toBeCloseTo(0.3, 10);
  });
});
