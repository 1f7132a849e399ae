import { type BufferView, createArena, writeView } from '../gpu/buffers.ts';
import type { Gpu } from '../gpu/device.ts';
import { createProgramBuilder, type Program } from '../gpu/program.ts';
import { adapterElements } from '../llama/plan-adapter.ts';
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

/** The flat vectors of a training run and the programs that update them. All have `length` elements. */
export interface Optimizer {
  readonly vector: BufferView;
  readonly gradient: BufferView;
  readonly m: BufferView;
  readonly v: BufferView;
  /** w₀ of the proximal term. */
  readonly reference: BufferView;
  readonly drift: BufferView;
  /** Σ g² after the affine correction and before clipping. */
  readonly sumSquares: BufferView; // (1)
  readonly step: BufferView; // STEP values
  readonly bytes: number;
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

export function createOptimizer(gpu: Gpu, length: number): Optimizer {
  const arena = createArena(gpu.device);
  const elements = adapterElements(length);
  const once = (label: string) => {
    let view: BufferView | undefined;
    return () => {
      view ??= arena.alloc(label, length);
      return view;
    };
  };
  const [reference, drift, zeros] = [once('reference adapter'), once('drift'), once('no drift')];
  const vectors: Vectors = {
    vector: arena.alloc('adapter', elements.adapter),
    gradient: arena.alloc('adapter gradient', elements.gradient),
    m: arena.alloc('AdamW m', elements.m),
    v: arena.alloc('AdamW v', elements.v),
    partials: arena.alloc('sum of squares, partial', elements.partials),
    sumSquares: arena.alloc('sum of squares', elements.sumSquares),
    step: arena.alloc('step values', elements.step),
    // Plain training needs none of these three: they are made, full of zeros, when something first asks for them.
    get reference() {
      return reference();
    },
    get drift() {
      return drift();
    },
    get zeros() {
      return zeros();
    },
  };
  const values = new Float32Array(STEP_ELEMENTS);
  const seed = new Uint32Array(values.buffer, STEP.dropoutSeed * 4, 1);
  const programs = new Map<UpdateKind, Promise<Program>>();
  const optimizer: Optimizer = {
    vector: vectors.vector,
    gradient: vectors.gradient,
    m: vectors.m,
    v: vectors.v,
    sumSquares: vectors.sumSquares,
    step: vectors.step,
    get reference() {
      return reference();
    },
    get drift() {
      return drift();
    },
    get bytes() {
      return arena.bytes;
    },
    hasDrift: false,
    t: 0,
    writeStep(options, scale, micro) {
      const t = optimizer.t + 1;
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
      writeView(gpu.device, vectors.step, values);
    },
    clearGradient() {
      const encoder = gpu.device.createCommandEncoder();
      encoder.clearBuffer(vectors.gradient.buffer);
      gpu.device.queue.submit([encoder.finish()]);
    },
    async update(options) {
      const kind = updateKind(options, optimizer.hasDrift);
      let program = programs.get(kind);
      if (!program) {
        program = recordUpdate(gpu, vectors, length, kind);
        programs.set(kind, program);
      }
      (await program).run();
      optimizer.t += 1;
    },
    destroy() {
      // One that could not be recorded was reported by the update that wanted it.
      for (const program of programs.values()) void program.then((p) => p.destroy()).catch(() => undefined);
      arena.destroy();
    },
  };
  return optimizer;
}

/** Which dispatches an update needs. */
type UpdateKind = 'plain' | 'mu' | 'driftGradient' | 'driftWeights' | 'muDriftWeights';

function updateKind({ mu = 0, driftTarget = 'gradient' }: StepOptions, hasDrift: boolean): UpdateKind {
  if (hasDrift && driftTarget === 'gradient') return 'driftGradient';
  if (hasDrift) return mu === 0 ? 'driftWeights' : 'muDriftWeights';
  return mu === 0 ? 'plain' : 'mu';
}

type Vectors = Record<
  'vector' | 'gradient' | 'm' | 'v' | 'reference' | 'drift' | 'zeros' | 'partials' | 'sumSquares' | 'step',
  BufferView
>;

function recordUpdate(gpu: Gpu, vectors: Vectors, length: number, kind: UpdateKind): Promise<Program> {
  const { vector: w, gradient: g, m, v, partials, step } = vectors;
  const total = vectors.sumSquares;
  const b = createProgramBuilder(gpu);
  if (kind === 'driftGradient' || kind === 'mu' || kind === 'muDriftWeights') {
    const drift = kind === 'driftGradient' ? vectors.drift : vectors.zeros;
    affineCorrection(b, { grad: g, w, w0: vectors.reference, drift, step, length });
  }
  sumSquares(b, { x: g, partials, total, length });
  adamw(b, { w, g, m, v, sumSquares: total, step, length, ...ADAMW });
  if (kind === 'driftWeights' || kind === 'muDriftWeights') addDrift(b, { w, drift: vectors.drift, step, length });
  return b.finish(`update (${kind})`);
}
