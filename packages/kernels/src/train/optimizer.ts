import { type Arena, type BufferView, createArena, writeView } from '../gpu/buffers.ts';
import type { Gpu } from '../gpu/device.ts';
import { createProgramBuilder, type Program } from '../gpu/program.ts';
import { ADAPTER_VECTORS, type AdapterVector, heldVectors, optimizerElements } from '../llama/plan-adapter.ts';
import { allocVector, type FlatVector, segmentsOf } from '../lora/flat-vector.ts';
import type { AdapterLayout } from '../lora/layout.ts';
import { mix32 } from '../lora/uniform.ts';
import { adamw, addDrift } from '../ops/adamw.ts';
import { affineCorrection } from '../ops/affine_correction.ts';
import { STEP, STEP_ELEMENTS } from '../ops/step_values.ts';
import { sumSquares } from '../ops/sum_squares.ts';

/** AdamW's constants (Loshchilov & Hutter, arXiv 1711.05101), with PyTorch's and Hugging Face's defaults. */
export const ADAMW = { beta1: 0.9, beta2: 0.999, eps: 1e-8 } as const;

/** What one step may choose anew; none of it is recorded in a program. */
export interface StepOptions {
  readonly learningRate: number;
  /** Global gradient-norm clip; 0 = off. Default 0. */
  readonly clipNorm?: number;
  /** Decoupled weight decay. Default 0. */
  readonly weightDecay?: number;
  /** Chooses the dropout masks; ignored when the adapter has no dropout. Default 0. */
  readonly dropoutSeed?: number;
  /** FedProx's μ: adds μ·(w − w₀) to the gradient. Default 0. */
  readonly mu?: number;
  /** Where the drift d acts: on the gradient before clipping (default), or on the weights after AdamW, w ← w − lr·d. */
  readonly driftTarget?: 'gradient' | 'weights';
}

/** What the batch's loss is the mean over, and DPO's β with pairs. */
export type LossScale = { readonly labelTokens: number } | { readonly pairs: number; readonly beta: number };

/** Everything AdamW remembers, on the CPU. */
export interface OptimizerState {
  readonly m: Float32Array;
  readonly v: Float32Array;
  /** Steps taken. */
  readonly t: number;
}

/** What a training run holds beside weights and activations. The vectors are cut into pieces alike. */
interface Held extends Readonly<Record<AdapterVector, FlatVector>> {
  readonly partials: BufferView;
  /** Σ g² after the affine correction and before clipping. */
  readonly sumSquares: BufferView; // (1)
  readonly step: BufferView; // STEP values
  readonly bytes: number;
}

/** The flat vectors of a training run and the programs that update them. */
export interface Optimizer extends Omit<Held, 'partials'> {
  hasDrift: boolean;
  /** Steps taken so far. */
  t: number;
  /** Uploads the STEP values of micro-batch `micro` of step t + 1 (of step 1 while t is 0). */
  writeStep(options: StepOptions, scale: LossScale, micro: number): void;
  clearGradient(): void;
  /** Correction, clip, AdamW and drift as `options` ask for; counts the step. */
  update(options: StepOptions): Promise<void>;
  destroy(): void;
}

/** `bufferBytes`: the most that one buffer of a vector takes; longer vectors are cut between tensors. */
export function createOptimizer(gpu: Gpu, layout: AdapterLayout, bufferBytes: number): Optimizer {
  const arena = createArena(gpu.device);
  const held = hold(arena, layout, bufferBytes);
  const upload = stepWriter(gpu.device, held.step);
  const programs = new Map<string, Promise<Program>>();
  // Into `held`, whose getters must go on being getters.
  const optimizer: Optimizer = Object.assign(held, {
    hasDrift: false,
    t: 0,
    writeStep(options: StepOptions, scale: LossScale, micro: number) {
      upload(optimizer.t + 1, options, scale, micro);
    },
    clearGradient() {
      const encoder = gpu.device.createCommandEncoder();
      for (const { view } of held.gradient.pieces) encoder.clearBuffer(view.buffer, view.offset, view.size);
      gpu.device.queue.submit([encoder.finish()]);
    },
    async update(options: StepOptions) {
      const kind = updateKind(options, optimizer.hasDrift);
      const key = `update with ${kind.proximal ? 'μ, ' : ''}drift of ${kind.drift}`;
      let program = programs.get(key);
      if (!program) {
        program = recordUpdate(gpu, held, kind, key);
        programs.set(key, program);
      }
      (await program).run();
      optimizer.t += 1;
    },
    destroy() {
      // One that could not be recorded was reported by the update that wanted it.
      for (const program of programs.values()) void program.then((p) => p.destroy()).catch(() => undefined);
      arena.destroy();
    },
  });
  return optimizer;
}

function hold(arena: Arena, layout: AdapterLayout, bufferBytes: number): Held {
  const segments = segmentsOf(layout, bufferBytes);
  const elements = optimizerElements(layout.length);
  const made = new Map<AdapterVector, FlatVector>();
  const vectorOf = (id: AdapterVector): FlatVector => {
    const vector = made.get(id) ?? allocVector(arena, ADAPTER_VECTORS[id], segments);
    made.set(id, vector);
    return vector;
  };
  for (const id of heldVectors({})) vectorOf(id);
  return {
    vector: vectorOf('vector'),
    gradient: vectorOf('gradient'),
    m: vectorOf('m'),
    v: vectorOf('v'),
    // Plain training needs neither: they are made, full of zeros, when something first asks for them.
    get reference() {
      return vectorOf('reference');
    },
    get drift() {
      return vectorOf('drift');
    },
    partials: arena.alloc('sum of squares, partial', elements.partials),
    sumSquares: arena.alloc('sum of squares', elements.sumSquares),
    step: arena.alloc('step values', elements.step),
    get bytes() {
      return arena.bytes;
    },
  };
}

/** Uploads what step t = 1, 2, … has of its own. */
function stepWriter(device: GPUDevice, step: BufferView) {
  const values = new Float32Array(STEP_ELEMENTS);
  const seed = new Uint32Array(values.buffer, STEP.dropoutSeed * 4, 1);
  return (t: number, options: StepOptions, scale: LossScale, micro: number): void => {
    values[STEP.learningRate] = options.learningRate;
    values[STEP.biasCorrection1] = 1 - ADAMW.beta1 ** t;
    values[STEP.biasCorrection2] = 1 - ADAMW.beta2 ** t;
    values[STEP.clipNorm] = options.clipNorm ?? 0;
    values[STEP.inverseLabelTokens] = 'labelTokens' in scale ? 1 / scale.labelTokens : 0;
    values[STEP.inversePairs] = 'pairs' in scale ? 1 / scale.pairs : 0;
    values[STEP.beta] = 'pairs' in scale ? scale.beta : 0;
    values[STEP.weightDecay] = options.weightDecay ?? 0;
    values[STEP.mu] = options.mu ?? 0;
    seed[0] = mix32((options.dropoutSeed ?? 0) + Math.imul(micro, 0x9e3779b1)); // each micro-batch masks differently
    writeView(device, step, values);
  };
}

/** Which dispatches an update needs. */
interface UpdateKind {
  readonly proximal: boolean;
  /** Where the drift acts, if there is one. */
  readonly drift: 'gradient' | 'weights' | 'nothing';
}

function updateKind({ mu = 0, driftTarget = 'gradient' }: StepOptions, hasDrift: boolean): UpdateKind {
  return { proximal: mu !== 0, drift: hasDrift ? driftTarget : 'nothing' };
}

function recordUpdate(gpu: Gpu, held: Held, { proximal, drift }: UpdateKind, label: string): Promise<Program> {
  const { partials, step, sumSquares: total } = held;
  const b = createProgramBuilder(gpu);
  const pieces = held.vector.pieces.map(({ length }, i) => {
    const view = (id: AdapterVector): BufferView => (held[id].pieces[i] as FlatVector['pieces'][number]).view; // all are cut alike
    return { view, length, w: view('vector'), g: view('gradient') };
  });
  if (proximal || drift === 'gradient') {
    for (const { view, length, w, g } of pieces) {
      const w0 = proximal ? view('reference') : null;
      affineCorrection(b, { grad: g, w, w0, drift: drift === 'gradient' ? view('drift') : null, step, length });
    }
  }
  sumSquares(b, { x: held.gradient.pieces, partials, total });
  for (const { view, length, w, g } of pieces) {
    adamw(b, { w, g, m: view('m'), v: view('v'), sumSquares: total, step, length, ...ADAMW });
    if (drift === 'weights') addDrift(b, { w, drift: view('drift'), step, length });
  }
  return b.finish(label);
}
