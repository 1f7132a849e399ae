import { benchKernels, type KernelReport, PEAKS } from '@cotune/kernels/bench';
import { openNodeGpu } from '@cotune/kernels/node';
import { Command } from 'commander';
import { benchClock, loadWarning, table } from './bench-clock.ts';
import { integer } from './options.ts';
import { printResult, progressBar } from './output.ts';

interface KernelOptions {
  repeats: number;
  only?: string;
  json?: boolean;
}

/** `cotune bench kernels`: every kernel of the training step at Llama-2-7B's shapes. */
export function benchKernelsCommand(): Command {
  return new Command('kernels')
    .description('every kernel of the training step at Llama-2-7B’s shapes, as a share of the adapter’s measured peaks')
    .option('--repeats <n>', 'measurements of each kernel, of which the median counts', integer(1, 100), 5)
    .option('--only <text>', 'kernels whose name contains this')
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      '\nOn software adapters the shapes are smaller; the output says by how much. The environment variable VK_ICD_FILENAMES' +
        '\nchooses the Vulkan driver, e.g. SwiftShader’s vk_swiftshader_icd.json.',
    )
    .action(async ({ repeats, only, json }: KernelOptions) => {
      const gpu = await openNodeGpu({ allowSoftware: true });
      const bar = progressBar('bench kernels');
      const report = await benchKernels(gpu, {
        clock: benchClock(gpu),
        repeats,
        ...(only === undefined ? {} : { only }),
        onProgress: (done, total, what) => bar.update(done, total, what),
      });
      bar.end();
      printResult(json, kernelJson(report), () => kernelTable(report).join('\n'));
    });
}

const digits = (value: number, significant = 4): number => Number(value.toPrecision(significant));

/** The report as the documented JSON; peaks that the adapter does not have are null. */
export function kernelJson(report: KernelReport) {
  const { adapter, scale, tokens, repeats, clock, processorShare } = report;
  const peaks = PEAKS.map((name) => {
    const peak = report.peaks[name];
    return [name, peak ? digits(peak.rate) : null] as const;
  });
  return {
    adapter,
    peaks: Object.fromEntries(peaks),
    kernels: report.kernels.map(({ name, shape, gflops, shareOfPeak, peak, gbs, ms, spread }) => ({
      name,
      shape,
      gflops: digits(gflops),
      share_of_peak: digits(shareOfPeak),
      peak,
      gbs: digits(gbs),
      ms: digits(ms),
      spread: digits(spread, 3),
    })),
    tokens,
    scaled_down_by: scale,
    repeats,
    clock,
    processor_share: digits(processorShare, 3),
    peak_variants: Object.fromEntries(Object.entries(report.peaks).map(([name, peak]) => [name, peak.variant])),
  };
}

const UNITS = {
  f32_gflops: ['f32', 'GFLOP/s'],
  f16_gflops: ['f16', 'GFLOP/s'],
  dot4i8_gops: ['dot4I8', 'GOP/s'],
  bandwidth_gbs: ['memory', 'GB/s'],
} as const;

function kernelTable(report: KernelReport): string[] {
  const { adapter, scale, tokens, repeats, clock, processorShare } = report;
  const { width, batch, seq } = scale;
  const full = width * batch * seq === 1;
  const rate = (value: number): string => (value >= 1000 ? value.toFixed(0) : value.toPrecision(3));
  return [
    adapter,
    full
      ? `Llama-2-7B’s shapes at ${tokens} tokens, medians of ${repeats} interleaved repeats`
      : `Llama-2-7B’s shapes with the width divided by ${width}, the rows by ${batch} and their length by ${seq} (${tokens} tokens), ` +
        `medians of ${repeats} interleaved repeats`,
    '',
    ...table(
      ['peak', 'rate', 'reached by'],
      PEAKS.flatMap((name) => {
        const peak = report.peaks[name];
        return peak ? [[UNITS[name][0], `${rate(peak.rate)} ${UNITS[name][1]}`, peak.variant]] : [];
      }),
    ),
    '',
    ...table(
      ['kernel', 'shape', 'ms', 'GFLOP/s', 'GB/s', 'share', 'of peak', 'spread'],
      report.kernels.map(({ name, shape, ms, gflops, gbs, shareOfPeak, peak, spread }) => [
        name,
        shape,
        ms.toPrecision(3),
        rate(gflops),
        rate(gbs),
        `${(100 * shareOfPeak).toFixed(1)} %`,
        UNITS[peak][0],
        `${(100 * spread).toFixed(0)} %`,
      ]),
    ),
    ...loadWarning(clock, processorShare),
  ];
}
