import { describe, expect, it } from 'vitest';
import { testGpu } from '../../test/gpu.ts';
import { geometryConfig } from './geometry.ts';
import { benchStep, breakdown, partOf, speed } from './step.ts';
import { stepFlops } from './step-flops.ts';

const lora = { rank: 32, alpha: 64, dropout: 0, targets: ['q_proj', 'v_proj'] } as const;

describe('stepFlops', () => {
  it('is 27 GFLOP a token for Llama-2-7B, as forward and input gradients of all weights give', () => {
    const config = geometryConfig('llama-2-7b');
    const tokens = 8192;
    const flops = stepFlops(config, lora, { tokens, labelTokens: tokens, length: 512 });
    const weights = 32 * (4 * 4096 ** 2 + 3 * 4096 * 11008);
    expect(flops.linears / tokens).toBeCloseTo(4 * weights - 2 * 3 * 4096 ** 2, -3);
    expect(flops.total / tokens / 1e9).toBeGreaterThan(26.5);
    expect(flops.total / tokens / 1e9).toBeLessThan(27.5);
  });

  it('counts the head and the last layer’s upper half for labelled tokens alone', () => {
    const config = geometryConfig('tiny');
    const all = stepFlops(config, lora, { tokens: 64, labelTokens: 64, length: 16 });
    const half = stepFlops(config, lora, { tokens: 64, labelTokens: 32, length: 16 });
    expect(half.head).toBe(all.head / 2);
    expect(all.linears - half.linears).toBe(2 * 2 * 32 * (64 * 64 + 3 * 64 * 172));
    expect(half.attention).toBe(all.attention);
  });
});

describe('bench step', () => {
  it('trains, and accounts for every kernel of a step', async () => {
    const gpu = await testGpu();
    const before = gpu.memory.bytes;
    const report = await benchStep(gpu, {
      clock: { wallMs: () => performance.now(), processorMs: null, processors: 2 },
      config: geometryConfig('tiny'),
      tokens: 32,
      length: 16,
      steps: 3,
      lora,
    });
    expect(report.tokens).toBe(32);
    expect(report.labelTokens).toBe(16);
    expect(report.lastLossNats).toBeLessThan(report.firstLossNats);
    expect(report.shareOfPeak).toBeGreaterThan(0);
    expect(report.shareOfPeak).toBeLessThan(1);
    expect(report.kernels.reduce((sum, { dispatches }) => sum + dispatches, 0)).toBe(report.dispatches);
    for (const part of report.parts) expect(part.ms, part.part).toBeGreaterThan(0);
    expect(report.kernels.map(({ kernel }) => kernel)).toEqual(expect.arrayContaining(['adamw_vec4', 'cross_entropy']));
    expect(report.memory.peakBytes).toBeGreaterThanOrEqual(report.memory.modelBytes + report.memory.trainerBytes);
    expect(Math.abs(report.memory.peakBytes / report.memory.plannedBytes - 1)).toBeLessThan(0.05);
    expect(report.plan).toMatchObject({ plan: 'a', microBatch: [2, 16] });
    expect(gpu.memory.bytes).toBe(before);
  }, 240_000);

  it('states rates, the share of the peak and the slowdown', () => {
    const ms = [...Array<number>(10).fill(100), ...Array<number>(10).fill(125)];
    const result = { tokens: 50, labelTokens: 20, lossNats: 1, gradNorm: 1 };
    const flops = { linears: 0, attention: 0, head: 0, lora: 0, total: 1.125e9 };
    expect(speed(ms, result, flops, 40)).toMatchObject({
      msPerStep: 112.5,
      msRange: [100, 125],
      gflops: 10,
      shareOfPeak: 0.25,
      slowdown: 0.25,
    });
    expect(speed(ms.slice(0, 5), result, flops, 40).slowdown).toBeNull();
  });

  it('sorts kernels into kinds of work', () => {
    const time = (kernel: string, each: number) => ({ kernel, dispatches: 1, ms: each, flops: 0 });
    const { parts, nonMatmulShare, busyMs } = breakdown([
      time('matmul_forward_tile_int8', 6),
      time('lora_up', 1),
      time('attention_scores', 2),
      time('rope', 1),
    ]);
    expect(busyMs).toBe(10);
    expect(parts.map(({ share }) => share)).toEqual([0.6, 0.1, 0.2, 0.1]);
    expect(nonMatmulShare).toBeCloseTo(0.3, 10);
    expect(partOf('flash_attention_forward')).toBe('attention');
  });
});
