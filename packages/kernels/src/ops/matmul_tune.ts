import { type Candidates, type TuneOptions, type TuningStore, tune } from '../gpu/autotune.ts';
import { type Arena, createArena } from '../gpu/buffers.ts';
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

export interface TuneMatmulsOptions extends Omit<TuneOptions, 'store'> {
  /** Measure on a software adapter too. By default its fixed table holds, so that runs there never depend on timing. */
  readonly onSoftware?: boolean;
}

/** More rows say nothing new about a kernel, and a slow GPU should not wait for them. */
const MOST_ROWS = 512;

/**
 * Finds the fastest kernel for every shape, or takes it from the store; programs recorded for this device afterwards use
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
      const { name, from } = await tune(gpu, key, candidates(gpu, arena, shape), { store, ...options });
      chooseVariant(gpu, key, name);
      tuned.push({ key, variant: name, from });
    } finally {
      arena.destroy();
    }
  }
  return tuned;
}

const sizeOf = ({ dtype, outputs, inputs }: MatmulShape): MatmulSize => ({ dtype, rows: outputs, cols: inputs });

/** The variants worth trying, the default first. Buffers are made when the first program is. */
function candidates(gpu: Gpu, arena: Arena, shape: MatmulShape): Candidates<string> {
  const { op, inputs, outputs } = shape;
  const rows = Math.min(rowsClass(shape.rows), MOST_ROWS);
  let buffers: { x: ReturnType<Arena['alloc']>; y: ReturnType<Arena['alloc']>; w: Matrix } | undefined;
  const record = (put: (b: ProgramBuilder, made: NonNullable<typeof buffers>) => void) => (): Promise<Program> => {
    buffers ??= {
      x: arena.upload('tuning x', waves(rows * inputs)),
      y: arena.upload('tuning y', waves(rows * outputs)),
      w: makeMatrix(arena, shape),
    };
    const b = createProgramBuilder(gpu);
    put(b, buffers);
    return b.finish(`tuning ${op}`);
  };
  if (op === 'forward') {
    const first = defaultVariant(gpu, FORWARD_DEFAULTS, FORWARD_VARIANTS, rows);
    return Object.fromEntries(
      worthTrying(gpu, FORWARD_VARIANTS, first, rows).map((variant) => [
        variant,
        record((b, { x, y, w }) => matmulForward(b, { x, w, y, rows, variant })),
      ]),
    );
  }
  const first = defaultVariant(gpu, BACKWARD_DEFAULTS, BACKWARD_VARIANTS, rows);
  return Object.fromEntries(
    worthTrying(gpu, BACKWARD_VARIANTS, first, rows).map((variant) => [
      variant,
      record((b, { x, y, w }) => matmulBackward(b, { dy: y, w, dx: x, rows, accumulate: false, variant })),
    ]),
  );
}

function worthTrying<Name extends string>(
  gpu: Gpu,
  variants: Readonly<Record<Name, MatmulVariant<unknown>>>,
  first: Name,
  rows: number,
): Name[] {
  const made = gpu.adapter.kind === 'hardware' ? 'hardware' : 'software';
  const fits = (name: Name): boolean => {
    const variant = variants[name];
    return variant.made === made && rows <= (variant.maxRows ?? rows) && variant.supports(gpu);
  };
  return [first, ...(Object.keys(variants) as Name[]).filter((name) => name !== first && fits(name))];
}

function makeMatrix(arena: Arena, { dtype, outputs, inputs }: MatmulShape): Matrix {
  const size = { rows: outputs, cols: inputs };
  if (dtype === 'f32') return { dtype, w: arena.upload('tuning w', waves(outputs * inputs)), ...size };
  const q = Int8Array.from({ length: outputs * inputs }, (_, i) => ((i * 37) % 255) - 127);
  return { dtype, q: arena.upload('tuning q', q), scale: arena.upload('tuning scale', waves(outputs)), ...size };
}

const waves = (length: number): Float32Array<ArrayBuffer> => Float32Array.from({ length }, (_, i) => Math.sin(i * 1.7));
