// Whole training steps on a model of noise: how long, where the time goes, and how far from what the adapter could do.
import type { Gpu } from '../gpu/device.ts';
import type { KernelTime } from '../gpu/profile.ts';
import type { Program } from '../gpu/program.ts';
import { watchRuns } from '../gpu/watch.ts';
import type { LlamaConfig } from '../llama/config.ts';
import { planMemory } from '../llama/plan.ts';
import type { Model } from '../llama/weights.ts';
import { initAdapter } from '../lora/init.ts';
import type { LoraConfig } from '../lora/layout.ts';
import { uniform } from '../lora/uniform.ts';
import type { TokenizedExample } from '../train/batch.ts';
import { packBatch } from '../train/pack.ts';
import { tuneModel } from '../train/prepare-gpu.ts';
import { computeSettings } from '../train/settings.ts';
import { createTrainer, type StepResult, type Trainer, type TrainerOptions } from '../train/trainer.ts';
import {
  type BenchClock,
  type ClockUsed,
  clockToUse,
  type Elapsed,
  median,
  millisecondsBy,
  processorShare,
  startClock,
} from './clock.ts';
import { noiseModel } from './noise-model.ts';
import { createPeakMeter } from './peaks.ts';
import { type StepFlops, stepFlops } from './step-flops.ts';

export interface StepBenchOptions {
  readonly clock: BenchClock;
  readonly config: LlamaConfig;
  /** Tokens of a step, in examples of `length`. */
  readonly tokens: number;
  /** Tokens of an example; the second half of each is labelled. */
  readonly length: number;
  /** Measured steps, after two that are not. At least 1. */
  readonly steps: number;
  readonly lora: LoraConfig;
  readonly dtype?: 'int8' | 'f32';
  readonly trainer?: TrainerOptions;
  readonly onStep?: (done: number, ms: number) => void;
}

/** Time of a kind of work in one step. */
export interface StepPart {
  readonly part: 'matmul' | 'lora' | 'attention' | 'other';
  readonly ms: number;
  /** Of the GPU's busy time. */
  readonly share: number;
}

export interface StepReport {
  readonly adapter: string;
  readonly parameters: number;
  readonly steps: number;
  /** Median over the steps, by `clock`. */
  readonly msPerStep: number;
  /** Fastest and slowest. */
  readonly msRange: readonly [number, number];
  readonly tokens: number;
  readonly labelTokens: number;
  readonly tokensPerSecond: number;
  /** 10⁹ FLOPs that one step needs, see `stepFlops`. */
  readonly gflopPerStep: number;
  readonly flops: StepFlops;
  readonly gflops: number;
  /** The adapter's f32 peak, measured before and after the steps. */
  readonly peakGflops: number;
  readonly shareOfPeak: number;
  /** GPU time of one step by kernel, longest first. */
  readonly kernels: readonly KernelTime[];
  readonly parts: readonly StepPart[];
  /** Share of the busy time that is neither matmul nor LoRA, attention included. */
  readonly nonMatmulShare: number;
  /** Sum of the kernels' times. */
  readonly busyMs: number;
  /**
   * Share of a step in which no kernel ran: the queue, copies and JavaScript. Can be below zero by the error of the two;
   * null by processor time, which does not pass while nothing runs.
   */
  readonly idleShare: number | null;
  readonly submits: number;
  readonly dispatches: number;
  /** Median of the last tenth of the steps against that of the first, minus one; null with fewer than 20 steps. */
  readonly slowdown: number | null;
  readonly memory: {
    readonly modelBytes: number;
    readonly trainerBytes: number;
    /** The most that model, trainer, uniforms and read-backs held at once. */
    readonly peakBytes: number;
    /** What the planner expected of weights, optimiser and activations. */
    readonly plannedBytes: number;
  };
  /** What the trainer decided. */
  readonly plan: {
    readonly plan: string;
    readonly attention: string;
    readonly microBatch: readonly [rows: number, length: number];
  };
  readonly clock: ClockUsed;
  readonly processorShare: number;
  readonly firstLossNats: number;
  readonly lastLossNats: number;
}

const WARM_UP_STEPS = 2;

/** Trains on noise and reports. Throws GpuError when the model does not fit the adapter. */
export async function benchStep(gpu: Gpu, options: StepBenchOptions): Promise<StepReport> {
  const { clock, config, length, steps, lora, onStep } = options;
  await tuneModel(gpu, { config, dtype: options.dtype ?? 'int8' }, new Map()); // as whoever trains on hardware does first
  const meter = await createPeakMeter(gpu, 'f32_gflops', clock);
  const peaks = [await meter.measure()];
  const heldBytes = gpu.memory.bytes;
  gpu.memory.resetPeak();
  const model = await noiseModel(gpu, config, options.dtype);
  const trainer = await createTrainer(model, lora, options.trainer);
  try {
    trainer.setAdapter(initAdapter(trainer.layout, 1));
    const batch = examples(config, Math.max(1, Math.round(options.tokens / length)), length);
    const step = () => trainer.step(batch, { learningRate: 1e-4, clipNorm: 1 });
    const { planned, plannedBytes, attention } = plannedStep(model, trainer, batch, options.trainer);
    const first = await step();
    for (let i = 1; i < WARM_UP_STEPS; i++) await step();
    const times: Elapsed[] = [];
    let last: StepResult = first;
    for (let i = 0; i < steps; i++) {
      const elapsed = startClock(clock);
      last = await step();
      const time = elapsed();
      times.push(time);
      onStep?.(i + 1, time.wallMs);
    }
    const peakBytes = gpu.memory.peakBytes - heldBytes;
    peaks.push(await meter.measure());
    const runs = await programsOf(gpu, step);
    const share = processorShare(times, clock.processors);
    const used = clockToUse(share);
    const kernels = await profileRuns(runs, clock.processorMs ? processorNow(clock, used) : undefined);
    const ms = times.map((time) => millisecondsBy(used, time, clock.processors));
    const peakGflops = median(
      peaks.map(({ billions, elapsed }) => (1000 * billions) / millisecondsBy(used, elapsed, clock.processors)),
    );
    const flops = stepFlops(config, lora, { tokens: last.tokens, labelTokens: last.labelTokens, length });
    return {
      adapter: gpu.adapter.description || gpu.adapter.device,
      steps,
      ...speed(ms, last, flops, peakGflops),
      ...breakdown(kernels),
      idleShare: used === 'wall' ? 1 - busyOf(kernels) / median(ms) : null,
      submits: runs.reduce((sum, { submits }) => sum + submits, 0),
      dispatches: runs.reduce((sum, { dispatches }) => sum + dispatches, 0),
      parameters: parametersOf(config),
      memory: { modelBytes: model.bytes, trainerBytes: trainer.bytes, peakBytes, plannedBytes },
      plan: { plan: planned.plan, attention, microBatch: [planned.batch, planned.seq] },
      clock: used,
      processorShare: share,
      firstLossNats: first.lossNats,
      lastLossNats: last.lossNats,
    };
  } finally {
    trainer.destroy();
    model.destroy();
    meter.destroy();
  }
}

/** Examples of noise; prompt and answer halves each. */
function examples(config: LlamaConfig, count: number, length: number): TokenizedExample[] {
  return Array.from({ length: count }, (_, row) => {
    // One token more: the last is only ever predicted.
    const inputIds = Array.from({ length: length + 1 }, (_, t) =>
      Math.floor(uniform(17, row * (length + 1) + t) * config.vocabSize),
    );
    return { inputIds, labels: inputIds.map((id, t) => (t <= length / 2 ? -100 : id)) };
  });
}

/** What the planner says of this step, by the same settings as the trainer's. */
function plannedStep(
  model: Model,
  { layout }: Trainer,
  batch: readonly TokenizedExample[],
  options: TrainerOptions = {},
) {
  const settings = computeSettings(model, layout, options);
  const [micro] = packBatch(batch, settings);
  if (!micro) throw new RangeError('a batch has a micro-batch');
  const attention = settings.attentionFor(micro.shape);
  const { maxBufferSize, maxStorageBufferBindingSize } = model.gpu.device.limits;
  const planned = planMemory(model.config, layout.config, {
    ...micro.shape,
    dtype: model.dtype,
    precision: settings.precision,
    plan: settings.plan,
    attention,
    bindingBytes: Math.min(maxBufferSize, maxStorageBufferBindingSize),
  });
  return { planned, plannedBytes: planned.total - planned.readBack, attention }; // no checkpoint is taken here
}

/** The programs that a step runs, in order, repeats included. */
async function programsOf(gpu: Gpu, step: () => ReturnType<Trainer['step']>): Promise<readonly Program[]> {
  const runs: Program[] = [];
  const end = watchRuns(gpu.device, (program) => runs.push(program));
  await step();
  end();
  return runs;
}

/** Milliseconds by the clock used, for adapters that compute in this process. */
function processorNow(clock: BenchClock, used: ClockUsed): () => number {
  return () =>
    millisecondsBy(used, { wallMs: clock.wallMs(), processorMs: clock.processorMs?.() ?? null }, clock.processors);
}

async function profileRuns(runs: readonly Program[], nowMs: (() => number) | undefined): Promise<KernelTime[]> {
  const total = new Map<string, KernelTime>();
  for (const program of new Set(runs)) {
    const times = runs.filter((run) => run === program).length;
    for (const { kernel, dispatches, ms, flops } of await program.profile(nowMs ? { nowMs } : {})) {
      const so = total.get(kernel) ?? { kernel, dispatches: 0, ms: 0, flops: 0 };
      total.set(kernel, {
        kernel,
        dispatches: so.dispatches + times * dispatches,
        ms: so.ms + times * ms,
        flops: so.flops + times * flops,
      });
    }
  }
  return [...total.values()].sort((a, b) => b.ms - a.ms);
}

/** Rates of steps that took `ms` each. */
export function speed(
  ms: readonly number[],
  { tokens, labelTokens }: StepResult,
  flops: StepFlops,
  peakGflops: number,
) {
  const msPerStep = median(ms);
  const gflops = flops.total / 1e6 / msPerStep;
  const tenth = Math.floor(ms.length / 10);
  return {
    msPerStep,
    msRange: [Math.min(...ms), Math.max(...ms)] as const,
    tokens,
    labelTokens,
    tokensPerSecond: (1000 * tokens) / msPerStep,
    flops,
    gflopPerStep: flops.total / 1e9,
    gflops,
    peakGflops,
    shareOfPeak: gflops / peakGflops,
    slowdown: tenth >= 2 ? median(ms.slice(-tenth)) / median(ms.slice(0, tenth)) - 1 : null,
  };
}

/** Which kind of work a kernel is, by its name. */
export function partOf(kernel: string): StepPart['part'] {
  if (kernel.startsWith('matmul')) return 'matmul';
  if (kernel.startsWith('lora')) return 'lora';
  return kernel.includes('attention') ? 'attention' : 'other';
}

const busyOf = (kernels: readonly KernelTime[]): number => kernels.reduce((sum, { ms }) => sum + ms, 0);

export function breakdown(kernels: readonly KernelTime[]) {
  const busyMs = busyOf(kernels);
  const parts = (['matmul', 'lora', 'attention', 'other'] as const).map((part): StepPart => {
    const ms = kernels.filter(({ kernel }) => partOf(kernel) === part).reduce((sum, each) => sum + each.ms, 0);
    return { part, ms, share: ms / busyMs };
  });
  const products = parts
    .filter(({ part }) => part === 'matmul' || part === 'lora')
    .reduce((sum, { ms }) => sum + ms, 0);
  return { kernels, parts, busyMs, nonMatmulShare: 1 - products / busyMs };
}

function parametersOf(config: LlamaConfig): number {
  const { vocabSize, hiddenSize, intermediateSize, layers, heads, kvHeads, headDim, tiedEmbeddings } = config;
  const layer = hiddenSize * headDim * 2 * (heads + kvHeads) + 3 * hiddenSize * intermediateSize + 2 * hiddenSize;
  return layers * layer + (tiedEmbeddings ? 1 : 2) * vocabSize * hiddenSize + hiddenSize;
}
