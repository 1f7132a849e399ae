import { LORA_TARGETS, type LoraTarget, PRECISIONS, type Precision } from '@cotune/kernels';
import { benchStep, GEOMETRY_NAMES, type GeometryName, geometryConfig, type StepReport } from '@cotune/kernels/bench';
import { openNodeGpu } from '@cotune/kernels/node';
import { Command } from 'commander';
import { benchClock, loadWarning, table } from './bench-clock.ts';
import { integer, loraTargets, oneOf, TARGETS_HELP } from './options.ts';
import { formatBytes, printResult, progressBar } from './output.ts';

interface StepBenchOptions {
  geometry?: GeometryName;
  layers?: number;
  tokens?: number;
  length?: number;
  steps: number;
  rank: number;
  targets: LoraTarget[];
  precision: Precision;
  plan: 'a' | 'b' | 'auto';
  attention: 'flash' | 'materialised' | 'auto';
  json?: boolean;
}

/** `cotune bench step`: whole training steps of a model of noise. */
export function benchStepCommand(): Command {
  return new Command('step')
    .description('whole LoRA training steps on a model of noise: speed, where the time goes, memory')
    .option(
      '--geometry <name>',
      `${GEOMETRY_NAMES.join(', ')} (default: llama-2-7b, on software adapters small)`,
      oneOf(GEOMETRY_NAMES),
    )
    .option('--layers <n>', 'fewer layers than the geometry has', integer(1, 128))
    .option('--tokens <n>', 'tokens a step (default: 8192, on software adapters 512)', integer(1))
    .option('--length <n>', 'tokens an example (default: 512, on software adapters 128)', integer(2, 4096))
    .option('--steps <n>', 'measured steps', integer(1), 5)
    .option('--rank <n>', 'LoRA rank', integer(1, 256), 32)
    .option('--targets <list>', TARGETS_HELP, loraTargets, ['q_proj', 'v_proj'] as LoraTarget[])
    .option('--precision <p>', PRECISIONS.join(', '), oneOf(PRECISIONS), 'f32')
    .option('--plan <plan>', 'a keeps saves, b recomputes, auto', oneOf(['a', 'b', 'auto']), 'auto')
    .option('--attention <kind>', 'flash, materialised or auto', oneOf(['flash', 'materialised', 'auto']), 'auto')
    .option('--json', 'print one JSON object')
    .action(runBenchStep);
}

async function runBenchStep(options: StepBenchOptions): Promise<void> {
  const gpu = await openNodeGpu({ allowSoftware: true });
  const hardware = gpu.adapter.kind === 'hardware';
  const geometry = options.geometry ?? (hardware ? 'llama-2-7b' : 'small');
  const length = options.length ?? (hardware ? 512 : 128);
  const { precision, plan, attention, rank, targets, steps } = options;
  const bar = progressBar('bench step');
  const config = geometryConfig(geometry, options.layers);
  const report = await benchStep(gpu, {
    clock: benchClock(gpu),
    config,
    tokens: options.tokens ?? (hardware ? 8192 : 512),
    length,
    steps,
    lora: { rank, alpha: 2 * rank, dropout: 0, targets },
    trainer: { precision, plan, attention },
    onStep: (done, ms) => bar.update(done, steps, `${ms.toFixed(0)} ms`),
  });
  bar.end();
  const run = { geometry, layers: config.layers, length, rank, targets, precision };
  printResult(options.json, stepJson(report, run), () => stepTable(report, run).join('\n'));
}

interface Run {
  readonly geometry: GeometryName;
  readonly layers: number;
  readonly length: number;
  readonly rank: number;
  readonly targets: readonly LoraTarget[];
  readonly precision: string;
}

const digits = (value: number, significant = 4): number => Number(value.toPrecision(significant));

export function stepJson(report: StepReport, run: Run) {
  return {
    adapter: report.adapter,
    ...run,
    plan: report.plan.plan,
    attention: report.plan.attention,
    micro_batch: report.plan.microBatch,
    parameters: report.parameters,
    steps: report.steps,
    ms_per_step: digits(report.msPerStep),
    ms_range: report.msRange.map((ms) => digits(ms)),
    tokens: report.tokens,
    label_tokens: report.labelTokens,
    tokens_per_second: digits(report.tokensPerSecond),
    gflop_per_step: digits(report.gflopPerStep),
    gflops: digits(report.gflops),
    peak_gflops: digits(report.peakGflops),
    share_of_peak: digits(report.shareOfPeak),
    parts: report.parts.map(({ part, ms, share }) => ({ part, ms: digits(ms), share: digits(share) })),
    kernels: report.kernels.map(({ kernel, dispatches, ms }) => ({ kernel, dispatches, ms: digits(ms) })),
    non_matmul_share: digits(report.nonMatmulShare),
    busy_ms: digits(report.busyMs),
    idle_share: report.idleShare === null ? null : digits(report.idleShare, 3),
    submits: report.submits,
    dispatches: report.dispatches,
    slowdown: report.slowdown === null ? null : digits(report.slowdown, 3),
    memory: {
      model_bytes: report.memory.modelBytes,
      trainer_bytes: report.memory.trainerBytes,
      peak_bytes: report.memory.peakBytes,
      planned_bytes: report.memory.plannedBytes,
    },
    loss: [report.firstLossNats, report.lastLossNats],
    clock: report.clock,
    processor_share: digits(report.processorShare, 3),
  };
}

const targetNames = (targets: readonly LoraTarget[]): string =>
  targets.length === LORA_TARGETS.length
    ? 'all linears'
    : targets.map((name) => name.replace('_proj', '')).join(' and ');

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;

function stepTable(report: StepReport, run: Run): string[] {
  const { memory, msRange, plan } = report;
  return [
    report.adapter,
    `${run.geometry}, ${run.layers} layers (${(report.parameters / 1e6).toFixed(0)} M parameters, int8), rank ${run.rank} on ${targetNames(run.targets)}, ` +
      `${report.tokens} tokens of which ${report.labelTokens} labelled, examples of ${run.length}`,
    `precision ${run.precision}, plan ${plan.plan}, ${plan.attention} attention, micro-batches of ${plan.microBatch.join(' × ')} tokens`,
    '',
    `${report.msPerStep.toFixed(1)} ms a step (median of ${report.steps}, ${msRange[0].toFixed(1)} to ${msRange[1].toFixed(1)}), ` +
      `${report.tokensPerSecond.toFixed(1)} tokens/s`,
    `${report.gflopPerStep.toPrecision(4)} GFLOP a step: ${report.gflops.toFixed(1)} GFLOP/s, ` +
      `${percent(report.shareOfPeak)} of the measured f32 peak of ${report.peakGflops.toFixed(1)}`,
    `${report.dispatches} dispatches in ${report.submits} submits; kernels busy for ${report.busyMs.toFixed(1)} ms, ` +
      (report.idleShare === null ? 'idle time only by the wall clock' : `idle ${percent(report.idleShare)} of a step`),
    report.slowdown === null
      ? 'slowdown over the steps: needs 20 steps or more'
      : `last tenth of the steps against the first: ${report.slowdown >= 0 ? '+' : ''}${percent(report.slowdown)}`,
    `memory: ${formatBytes(memory.modelBytes)} weights, ${formatBytes(memory.trainerBytes)} adapter, optimiser and activations, ` +
      `${formatBytes(memory.peakBytes)} at the peak (planned ${formatBytes(memory.plannedBytes)})`,
    '',
    ...table(
      ['part', 'ms', 'share'],
      report.parts.map(({ part, ms, share }) => [part, ms.toFixed(2), percent(share)]),
    ),
    '',
    ...table(
      ['kernel', 'dispatches', 'ms', 'share'],
      report.kernels.map(({ kernel, dispatches, ms }) => [
        kernel,
        String(dispatches),
        ms.toFixed(2),
        percent(ms / report.busyMs),
      ]),
    ),
    ...loadWarning(report.clock, report.processorShare),
  ];
}
