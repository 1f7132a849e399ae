import { afterEach, expect, it, vi } from 'vitest';
import { benchCommand } from '../src/cli/bench.ts';
import { table } from '../src/cli/bench-clock.ts';

afterEach(() => vi.restoreAllMocks());

/** Runs `cotune bench …` in this process, on whatever WebGPU there is, and returns what it wrote to stdout. */
async function bench(...args: readonly string[]): Promise<string> {
  let out = '';
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    out += String(text);
    return true;
  });
  await benchCommand().parseAsync(args, { from: 'user' });
  return out;
}

it('bench kernels --json gives peaks and kernels, with null for peaks that were not measured', async () => {
  const lines = (await bench('kernels', '--only', 'rope', '--repeats', '2', '--json')).trim().split('\n');
  expect(lines).toHaveLength(1);
  const report = JSON.parse(lines[0] ?? '') as Record<string, unknown>;
  expect(report).toMatchObject({
    adapter: expect.stringMatching(/\w/),
    peaks: { f32_gflops: null, f16_gflops: null, dot4i8_gops: null, bandwidth_gbs: expect.any(Number) },
    kernels: [
      {
        name: 'rope',
        shape: expect.stringMatching(/^\d+×\d+$/),
        gflops: expect.any(Number),
        share_of_peak: expect.any(Number),
        peak: 'bandwidth_gbs',
      },
    ],
    scaled_down_by: { width: expect.any(Number), batch: expect.any(Number), seq: expect.any(Number) },
    repeats: 2,
  });
  const [kernel] = report.kernels as { gbs: number; share_of_peak: number }[];
  const { bandwidth_gbs: peak } = report.peaks as { bandwidth_gbs: number };
  expect(kernel?.share_of_peak).toBeGreaterThan(0.2 * ((kernel?.gbs ?? 0) / peak)); // medians of ratios and ratios of medians
  expect(kernel?.share_of_peak).toBeLessThan(5 * ((kernel?.gbs ?? 0) / peak));
}, 240_000);

it('bench kernels names the kernels where none is chosen', async () => {
  await expect(bench('kernels', '--only', 'nonsense')).rejects.toThrow(
    /"nonsense", expected part of one of .*int8_matmul_dx/,
  );
}, 120_000);

it('bench step --json says how long a step is, of what it consists and what it holds', async () => {
  const out = await bench('step', '--geometry', 'tiny', '--tokens', '32', '--length', '16', '--steps', '2', '--json');
  const report = JSON.parse(out) as Record<string, number> & { parts: { share: number }[]; kernels: { ms: number }[] };
  expect(report).toMatchObject({
    geometry: 'tiny',
    layers: 2,
    rank: 32,
    plan: 'a',
    micro_batch: [2, 16],
    steps: 2,
    tokens: 32,
    label_tokens: 16,
    slowdown: null,
    memory: { model_bytes: expect.any(Number), peak_bytes: expect.any(Number), planned_bytes: expect.any(Number) },
  });
  // Figures are printed with four digits, so relations between them hold relatively.
  const ratio = (figure: number | undefined, expected: number) => (figure ?? Number.NaN) / expected;
  expect(ratio(report.tokens_per_second, 32_000 / (report.ms_per_step ?? Number.NaN))).toBeCloseTo(1, 2);
  expect(report.share_of_peak).toBeCloseTo((report.gflops ?? Number.NaN) / (report.peak_gflops ?? Number.NaN), 2);
  expect(report.parts.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1, 2);
  const kernelMs = report.kernels.reduce((sum, { ms }) => sum + ms, 0);
  expect(ratio(report.busy_ms, kernelMs)).toBeCloseTo(1, 2);
}, 240_000);

it('aligns the columns of its tables', () => {
  expect(
    table(
      ['kernel', 'ms'],
      [
        ['rope', '1.25'],
        ['int8_matmul', '10'],
      ],
    ),
  ).toEqual(['kernel         ms', 'rope         1.25', 'int8_matmul    10']);
});
