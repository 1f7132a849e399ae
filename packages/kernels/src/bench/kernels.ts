// Speed of every kernel of the training step as a share of what the adapter can do, measured in the same minutes.
import { createArena } from '../gpu/buffers.ts';
import type { Gpu } from '../gpu/device.ts';
import { createProgramBuilder } from '../gpu/program.ts';
import { type MatmulShape, tuneMatmuls } from '../ops/matmul_tune.ts';
import {
  type BenchClock,
  type ClockUsed,
  clockToUse,
  type Elapsed,
  median,
  millisecondsBy,
  processorShare,
  spread,
} from './clock.ts';
import { type Geometry, LLAMA_2_7B, type ScaleDown, scaled, scaleFor } from './geometry.ts';
import { type KernelCase, kernelCases } from './kernel-cases.ts';
import { measureInterleaved, prepareTimed, type Timed } from './measure.ts';
import { findPeaks, PEAKS, type Peak, type PeakName } from './peaks.ts';

export interface KernelFigure {
  readonly name: string;
  readonly shape: string;
  /** 10⁹ operations a second. */
  readonly gflops: number;
  /** 10⁹ bytes a second of the least traffic that the kernel needs. */
  readonly gbs: number;
  readonly peak: PeakName;
  /** Median over the repeats of the kernel's rate against the peak's in the same repeat. */
  readonly shareOfPeak: number;
  readonly ms: number;
  /** (slowest − fastest) / median over the repeats. */
  readonly spread: number;
}

export interface KernelReport {
  readonly adapter: string;
  /** How much smaller than Llama-2-7B at 2048 tokens the shapes are. */
  readonly scale: ScaleDown;
  readonly tokens: number;
  /** Peaks that the adapter has, 10⁹ a second, and what reached them. */
  readonly peaks: Readonly<Partial<Record<PeakName, { readonly rate: number; readonly variant: string }>>>;
  readonly kernels: readonly KernelFigure[];
  readonly repeats: number;
  /** Where others used the processors too, figures are by processor time: see `BenchClock`. */
  readonly clock: ClockUsed;
  readonly processorShare: number;
}

export interface KernelBenchOptions {
  readonly clock: BenchClock;
  /** Measurements of every kernel, of which the median counts. Default 5. */
  readonly repeats?: number;
  /** Shapes this much smaller than Llama-2-7B's; by default as the adapter's kind can bear. */
  readonly scale?: ScaleDown;
  /** Only kernels whose name contains this. */
  readonly only?: string;
  /** Least length of one measurement; by default 200 ms on hardware and 30 ms on software adapters, which are slow enough. */
  readonly targetMs?: number;
  readonly onProgress?: (done: number, total: number, what: string) => void;
}

const TARGET_MS = { hardware: 200, llvmpipe: 30, swiftshader: 30 } as const;

/** Runs every kernel at Llama-2-7B's shapes beside the peaks. Throws GpuError when something does not fit the adapter. */
export async function benchKernels(gpu: Gpu, options: KernelBenchOptions): Promise<KernelReport> {
  const { clock, repeats = 5, scale = scaleFor(gpu.adapter.kind), only = '', onProgress } = options;
  const { targetMs = TARGET_MS[gpu.adapter.kind] } = options;
  const geometry = scaled(LLAMA_2_7B, scale);
  const arena = createArena(gpu.device);
  try {
    onProgress?.(0, 1, 'the fastest matmuls');
    await tuneMatmuls(gpu, matmulShapes(geometry), new Map()); // as whoever trains on hardware does first
    onProgress?.(0, 1, 'peaks');
    const all = await kernelCases(gpu, arena, geometry);
    const chosen = all.filter(({ name }) => name.includes(only));
    if (chosen.length === 0) {
      const names = [...new Set(all.map(({ name }) => name))].join(', ');
      throw new RangeError(`no kernel's name contains "${only}", expected part of one of ${names}`);
    }
    const needed = PEAKS.filter((name) => only === '' || chosen.some(({ peak }) => peak === name));
    const peaks = await findPeaks(gpu, arena, clock, needed);
    const cases = chosen.filter(({ peak }) => peaks.some(({ name }) => name === peak));
    const timed: Timed[] = [];
    const total = cases.length + repeats;
    for (const [i, kernel] of cases.entries()) {
      onProgress?.(i, total, kernel.name);
      const b = createProgramBuilder(gpu);
      kernel.record(b);
      timed.push(await prepareTimed(gpu, await b.finish(kernel.name), clock, targetMs));
    }
    const everything = [...peaks.map((peak) => peak.timed), ...timed];
    const measured = await measureInterleaved(gpu, everything, clock, repeats, (done) =>
      onProgress?.(cases.length + done, total, `repeat ${done} of ${repeats}`),
    );
    for (const { program } of everything) program.destroy();
    const share = processorShare(measured.flat(), clock.processors);
    const used = clockToUse(share);
    const times = measured.map((repeated) => repeated.map((elapsed) => ms(used, elapsed, clock)));
    return {
      adapter: gpu.adapter.description || gpu.adapter.device,
      scale,
      tokens: geometry.batch * geometry.seq,
      ...figures(peaks, cases, times),
      repeats,
      clock: used,
      processorShare: share,
    };
  } finally {
    arena.destroy();
  }
}

/** The products that the cases time, to be tuned. */
function matmulShapes({ batch, seq, hiddenSize: h, intermediateSize: ff }: Geometry): MatmulShape[] {
  const sizes = [
    { inputs: h, outputs: h },
    { inputs: h, outputs: ff },
    { inputs: ff, outputs: h },
  ];
  return (['int8', 'f32'] as const).flatMap((dtype) =>
    (['forward', 'backward'] as const).flatMap((op) =>
      sizes.map((size) => ({ op, dtype, rows: batch * seq, ...size })),
    ),
  );
}

const ms = (used: ClockUsed, elapsed: Elapsed, { processors }: BenchClock): number =>
  millisecondsBy(used, elapsed, processors);

/** Rates and shares from the times of every repeat (ms): the peaks' first, then the kernels', in their orders. */
export function figures(
  peaks: readonly Pick<Peak, 'name' | 'variant' | 'billions'>[],
  cases: readonly Omit<KernelCase, 'record'>[],
  times: readonly (readonly number[])[],
): Pick<KernelReport, 'peaks' | 'kernels'> {
  const rates = peaks.map(({ billions }, i) => (times[i] ?? []).map((time) => (1000 * billions) / time));
  const kernels = cases.map((kernel, i): KernelFigure => {
    const repeated = times[peaks.length + i] ?? [];
    const billions = (kernel.peak === 'bandwidth_gbs' ? kernel.bytes : kernel.flops) / 1e9;
    const peakRates = rates[peaks.findIndex(({ name }) => name === kernel.peak)] ?? [];
    const time = median(repeated);
    const { name, shape, flops, bytes, peak } = kernel;
    return {
      name,
      shape,
      gflops: flops / 1e6 / time,
      gbs: bytes / 1e6 / time,
      peak,
      shareOfPeak: median(repeated.map((each, r) => (1000 * billions) / each / (peakRates[r] ?? Number.NaN))),
      ms: time,
      spread: spread(repeated),
    };
  });
  const found = peaks.map(({ name, variant }, i) => [name, { rate: median(rates[i] ?? []), variant }] as const);
  return { peaks: Object.fromEntries(found), kernels };
}
