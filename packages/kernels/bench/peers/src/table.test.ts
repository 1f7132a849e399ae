import { expect, it } from 'vitest';
import type { Report } from './report.ts';
import { formatReport } from './table.ts';

const timing = (medianMs: number, cpuMedianMs: number | null) => ({
  samplesMs: [medianMs],
  medianMs,
  cpuSamplesMs: cpuMedianMs === null ? null : [cpuMedianMs],
  cpuMedianMs,
  spread: 0.126,
  burst: 1,
});
const entry = { method: 'matMul', arithmetic: 'f32', error: 1.234e-6 } as const;
const report: Report = {
  environment: { adapter: 'a GPU', browser: 'Chromium 1', versions: { 'jax-js': '0.1' }, repeats: 5 },
  matmuls: [
    {
      shape: { rows: 256, inputs: 64, outputs: 128 },
      direction: 'dX',
      entries: [
        { ...entry, library: 'Cotune', ours: true, gflops: 3.3333, timing: timing(120.456, 240) },
        { ...entry, library: 'jax-js', ours: false, gflops: 2, timing: timing(200, null) },
      ],
      excluded: [{ library: 'TensorFlow.js', method: 'matMul', why: 'error 2.5 over 0.0001' }],
      ratios: [{ ours: 'f32', theirs: 'jax-js', speedup: 1.4999, cpuSpeedup: null, goal: 1.5 }],
    },
  ],
  step: {
    what: 'One step',
    tokens: 512,
    entries: [{ library: 'Cotune', ours: true, lossesNats: [7.4874544, 6.5], timing: timing(2000, 3500) }],
    excluded: [],
    ratios: [
      { ours: 'step', theirs: 'TensorFlow.js', speedup: 3, cpuSpeedup: 2.5, goal: 3 },
      { ours: 'step', theirs: 'jax-js', speedup: 2, cpuSpeedup: null, goal: null },
    ],
  },
};
const lines = formatReport(report).split('\n');

it('gives every entry its speed, error and CPU time', () => {
  expect(lines).toContain('### dX = dY·W, 256×64×128 (tokens × inputs × outputs)');
  expect(lines).toContain('| Cotune | matMul | f32 | 3.33 | 120 | 13 % | 240 | 1.2e-6 |');
  expect(lines).toContain('| jax-js | matMul | f32 | 2 | 200 | 13 % | – | 1.2e-6 |');
  expect(lines).toContain('| Cotune | 2 | 256 | 13 % | 3.5 | 7.487454, 6.500000 |');
});

it('says who is missing and why', () => {
  expect(lines).toContain('Not timed: TensorFlow.js matMul: error 2.5 over 0.0001');
});

it('measures speedups by their goals, unrounded', () => {
  expect(lines).toContain('f32: **1.50 ×** jax-js; goal 1.5 ×: missed.');
  expect(lines).toContain('step: **3.00 ×** TensorFlow.js, 2.50 × in CPU time; goal 3 ×: met.');
  expect(lines).toContain('step: **2.00 ×** jax-js.');
});
