import { type Candidates, type TuneOptions, type TuningStore, tune } from '../gpu/autotune.ts';
import { type Arena, type BufferView, createArena, writeView } from '../gpu/buffers.ts';
import type { Gpu } from '../gpu/device.ts';
import { createProgramBuilder, type Program, type ProgramBuilder } from '../gpu/program.ts';
import { matmulBackward, matmulForward } from './matmul.ts';
import { chooseVariant, type MatmulOp, type MatmulSize, matmulKey, rowsClass } from './matmul_choice.ts';
import {
  BACKWARD_DEFAULTS,
  BACKWARD_VARIANTS,
  defaultVariant,
  FORWARD_DEFAULTS,
  FORWARD_VARIANTS,
  type MatmulBackwardVariant,
  type MatmulForwardVariant,
  type MatmulVariant,
} from './matmul_variants.ts';
import type { Matrix } from './matrix.ts';

/** A product that will be computed: y (rows, outputs) from x (rows, inputs), or its gradient. */
export interface MatmulShape {
  readonly op: MatmulOp;
  readonly dtype: Matrix['dtype'];
  readonly rows: number;
  readonly inputs: number;
  readonly outputs: number;
}

export interface TunedMatmul {
  readonly key: string;
  /** A MatmulForwardVariant or MatmulBackwardVariant. */
  readonly variant: string;
  readonly from: 'store' | 'measured';
}

export interface TuneMatmulsOptions extends Omit<TuneOptions, 'store' | 'agrees'> {
  /** Measure on a software adapter too. By default its fixed table holds, so that runs there never depend on timing. */
  readonly onSoftware?: boolean;
}

/** More rows say nothing new about a kernel, and a slow GPU should not wait for them. */
const MOST_ROWS = 512;
/** Largest relative L2 distance from the default's result: sums of f32 in another order come within a hundredth of it. */
const TOLERANCE = 1e-4;

/**
 * Finds the fastest kernel for every shape among those whose result is the default's, or takes it from the store; programs recorded for this device afterwards use
 * it. Shapes that share a rows class, outputs, inputs and dtype are measured once. Throws GpuError 'limit' or
 * 'out-of-memory' where a matrix of the shape does not fit.
 */
export async function tuneMatmuls(
  gpu: Gpu,
  shapes: readonly MatmulShape[],
  store: TuningStore,
  { onSoftware = false, ...options }: TuneMatmulsOptions = {},
): Promise<readonly TunedMatmul[]> {
  if (gpu.adapter.kind !== 'hardware' && !onSoftware) return [];
  const tuned: TunedMatmul[] = [];
  for (const [key, shape] of new Map(shapes.map((shape) => [matmulKey(shape.op, sizeOf(shape), shape.rows), shape]))) {
    const arena = createArena(gpu.device);
    try {
      const { programs, agrees } = candidates(gpu, arena, shape);
      const { name, from } = await tune(gpu, key, programs, { store, agrees, ...options });
      chooseVariant(gpu, key, name);
      tuned.push({ key, variant: name, from });
    } finally {
      arena.destroy();
    }
  }
  return tuned;
}

const sizeOf = ({ dtype, outputs, inputs }: MatmulShape): MatmulSize => ({ dtype, rows: outputs, cols: inputs });

interface Products {
  /** The variants worth trying, the default first. Buffers are made when the first program is. */
  readonly programs: Candidates<string>;
  /** Whether the result that the last program left is that of the first; some drivers compute wrongly without an error. */
  readonly agrees: () => Promise<boolean>;
}

function candidates(gpu: Gpu, arena: Arena, shape: MatmulShape): Products {
  const { op, inputs, outputs } = shape;
  const rows = Math.min(rowsClass(shape.rows), MOST_ROWS);
  let buffers: { readonly x: BufferView; readonly y: BufferView; readonly w: Matrix } | undefined;
  const made = (): NonNullable<typeof buffers> => {
    buffers ??= {
      x: filled(gpu, arena, 'tuning x', rows * inputs, WAVES),
      y: filled(gpu, arena, 'tuning y', rows * outputs, WAVES),
      w: makeMatrix(gpu, arena, shape),
    };
    return buffers;
  };
  const record = (put: (b: ProgramBuilder) => void) => (): Promise<Program> => {
    const b = createProgramBuilder(gpu);
    put(b);
    return b.finish(`tuning ${op}`);
  };
  const forward = (variant: MatmulForwardVariant) => record((b) => matmulForward(b, { ...made(), rows, variant }));
  const backward = (variant: MatmulBackwardVariant) =>
    record((b) => matmulBackward(b, { dy: made().y, w: made().w, dx: made().x, rows, accumulate: false, variant }));
  let expected: Float32Array | undefined;
  const agrees = async (): Promise<boolean> => {
    const { x, y } = made();
    const [result, elements] = op === 'forward' ? [y, rows * outputs] : [x, rows * inputs];
    const got = await gpu.readF32(result, elements);
    const encoder = gpu.device.createCommandEncoder();
    encoder.clearBuffer(result.buffer); // or one that writes nothing would agree with the one before it
    gpu.device.queue.submit([encoder.finish()]);
    expected ??= got;
    return distance(got, expected) <= TOLERANCE;
  };
  const programs =
    op === 'forward'
      ? eachWorthTrying(
          gpu,
          FORWARD_VARIANTS,
          defaultVariant(gpu, FORWARD_DEFAULTS, FORWARD_VARIANTS, rows),
          rows,
          forward,
        )
      : eachWorthTrying(
          gpu,
          BACKWARD_VARIANTS,
          defaultVariant(gpu, BACKWARD_DEFAULTS, BACKWARD_VARIANTS, rows),
          rows,
          backward,
        );
  return { programs, agrees };
}

function eachWorthTrying<Name extends string>(
  gpu: Gpu,
  variants: Readonly<Record<Name, MatmulVariant<unknown>>>,
  first: Name,
  rows: number,
  program: (name: Name) => () => Promise<Program>,
): Candidates<string> {
  const made = gpu.adapter.kind === 'hardware' ? 'hardware' : 'software';
  const fits = (name: Name): boolean => {
    const variant = variants[name];
    return variant.made === made && rows <= (variant.maxRows ?? rows) && variant.supports(gpu);
  };
  const others = (Object.keys(variants) as Name[]).filter((name) => name !== first && fits(name));
  return Object.fromEntries([first, ...others].map((name) => [name, program(name)]));
}

function makeMatrix(gpu: Gpu, arena: Arena, { dtype, outputs, inputs }: MatmulShape): Matrix {
  const size = { rows: outputs, cols: inputs };
  if (dtype === 'f32') return { dtype, w: filled(gpu, arena, 'tuning w', outputs * inputs, WAVES), ...size };
  const q = filled(gpu, arena, 'tuning q', Math.ceil((outputs * inputs) / 4), CODES);
  return { dtype, q, scale: filled(gpu, arena, 'tuning scale', outputs, WAVES), ...size };
}

// A prime number of words, so that no two rows of a matrix are alike.
const WORDS = 65521;
const WAVES = Float32Array.from({ length: WORDS }, (_, i) => Math.sin(i * 1.7));
const CODES = Int8Array.from({ length: 4 * WORDS }, (_, i) => ((i * 37) % 255) - 127);

/** Writes the pattern as often as it takes: JavaScript would need many seconds to make up a vocabulary's matrix. */
function filled(
  gpu: Gpu,
  arena: Arena,
  label: string,
  words: number,
  pattern: typeof WAVES | typeof CODES,
): BufferView {
  const view = arena.alloc(label, words);
  for (let offset = 0; offset < view.size; offset += pattern.byteLength) {
    const size = view.size - offset;
    writeView(gpu.device, { ...view, offset, size }, pattern.subarray(0, size / pattern.BYTES_PER_ELEMENT));
  }
  return view;
}

function distance(actual: Float32Array, expected: Float32Array): number {
  let [difference, norm] = [0, 0];
  for (let i = 0; i < expected.length; i++) {
    const value = expected[i] ?? 0;
    difference += ((actual[i] ?? 0) - value) ** 2;
    norm += value ** 2;
  }
  return Math.sqrt(difference / norm);
}
