import { firstLine } from '../matmul/bench.ts';
import { openJax } from '../matmul/jax.ts';
import { openOurs } from '../matmul/ours.ts';
import { openTfjs } from '../matmul/tfjs.ts';
import type { Ratio, StepEntry, StepReport } from '../report.ts';
import { cpuSpeedup, speedup, type TimingOptions, timeInTurn } from '../timing.ts';
import { openJaxStep } from './jax.ts';
import { openOurStep } from './ours.ts';
import type { Stepper } from './stepper.ts';
import { makeStepTask, type StepTask } from './task.ts';
import { openTfjsStep } from './tfjs.ts';

/** Steps whose losses are compared: the first sees the weights, the others the gradients and the optimiser. */
const COMPARED_STEPS = 3;
/** Largest difference from our loss, in nats, with which it still counts as the same training. */
const LOSS_TOLERANCE = 1e-3;

/** The design's goals, by whom we are compared with. */
const GOALS: Readonly<Record<string, number>> = { 'TensorFlow.js': 3 };

const STEPPERS: readonly [name: string, open: (task: StepTask) => Promise<Stepper>][] = [
  ['Cotune', async (task) => openOurStep((await openOurs()).gpu, task)],
  [
    'jax-js',
    async (task) => {
      await openJax();
      return openJaxStep(task);
    },
  ],
  ['TensorFlow.js', async (task) => openTfjsStep((await openTfjs()).backend, task)],
];

/** Everybody takes the same first steps; who arrives at other losses is left out; the rest are timed in turn. */
export async function benchStep(
  timing: TimingOptions,
  takesPart: (library: string) => boolean,
  say: (line: string) => void,
): Promise<StepReport> {
  const task = await makeStepTask();
  const ready: { library: string; stepper: Stepper; lossesNats: number[] }[] = [];
  const excluded: { library: string; why: string }[] = [];
  for (const [library, open] of STEPPERS.filter(([name]) => takesPart(name))) {
    try {
      say(`step: ${library}, the first ${COMPARED_STEPS}`);
      const stepper = await open(task);
      const lossesNats: number[] = [];
      for (let i = 0; i < COMPARED_STEPS; i++) lossesNats.push(await stepper.step());
      checkLosses(lossesNats, ready[0]?.lossesNats ?? lossesNats);
      ready.push({ library, stepper, lossesNats });
    } catch (cause) {
      excluded.push({ library, why: firstLine(cause) });
    }
  }
  const runners = ready.map(({ stepper }) => ({
    async run(times: number) {
      for (let i = 0; i < times; i++) await stepper.step();
    },
  }));
  say(`step: timing ${ready.length} libraries`);
  const timings = await timeInTurn(runners, timing);
  const entries: StepEntry[] = ready.flatMap(({ library, lossesNats }, i) => {
    const timed = timings[i];
    return timed ? [{ library, ours: library === 'Cotune', lossesNats, timing: timed }] : [];
  });
  for (const { stepper } of ready) stepper.destroy();
  entries.sort((a, b) => a.timing.medianMs - b.timing.medianMs);
  return { ...describe(task), entries, excluded, ratios: ratios(entries) };
}

function checkLosses(lossesNats: readonly number[], expected: readonly number[]): void {
  const apart = Math.max(...lossesNats.map((loss, i) => Math.abs(loss - (expected[i] ?? Number.NaN))));
  if (!(apart <= LOSS_TOLERANCE)) {
    throw new Error(`other training: losses ${lossesNats.join(', ')}, expected ${expected.join(', ')}`);
  }
}

function describe({ config, lora, batch, seq }: StepTask): { what: string; tokens: number } {
  const model = `dim ${config.hiddenSize} × ${config.layers} layers, ff ${config.intermediateSize}, vocab ${config.vocabSize}`;
  const what = `One LoRA step: rank ${lora.rank} on ${lora.targets.length} linears, ${model}, f32, ${batch} × ${seq} tokens`;
  return { what, tokens: batch * seq };
}

function ratios(entries: readonly StepEntry[]): Ratio[] {
  const ours = entries.find((entry) => entry.ours);
  if (!ours) return [];
  return entries
    .filter((entry) => !entry.ours)
    .map(({ library, timing }) => ({
      ours: `${ours.library} step`,
      theirs: library,
      speedup: speedup(ours.timing, timing),
      cpuSpeedup: cpuSpeedup(ours.timing, timing),
      goal: GOALS[library] ?? null,
    }));
}
