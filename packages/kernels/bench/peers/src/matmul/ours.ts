import { createArena } from '../../../../src/gpu/buffers.ts';
import type { Gpu } from '../../../../src/gpu/device.ts';
import { createProgramBuilder, type Program, type ProgramBuilder } from '../../../../src/gpu/program.ts';
import { openGpu } from '../../../../src/index.ts';
import { matmulBackward, matmulForward } from '../../../../src/ops/matmul.ts';
import { matmulForwardDp4a } from '../../../../src/ops/matmul_dp4a.ts';
import type { Matrix } from '../../../../src/ops/matrix.ts';
import { createQuantizedRows, quantizeActivations } from '../../../../src/ops/quantize_activations.ts';
import { type Arithmetic, type Contestant, finished, type Library } from './contestant.ts';
import type { Product } from './product.ts';

type Arena = ReturnType<typeof createArena>;
type View = ReturnType<Arena['alloc']>;

/** Records one product from a to c; made with its weights already uploaded. */
type Record = (b: ProgramBuilder, a: View, c: View) => void;

/** A way to compute a product with Cotune's kernels. */
interface Way {
  readonly method: string;
  readonly arithmetic: Arithmetic;
  prepare(arena: Arena, product: Product): Record;
}

const FORWARD: readonly Way[] = [
  { method: 'matmulForward', arithmetic: 'int8 weights', prepare: (arena, p) => forward(int8Matrix(arena, p), p) },
  { method: 'matmulForward', arithmetic: 'f32', prepare: (arena, p) => forward(f32Matrix(arena, p), p) },
  {
    method: 'quantizeActivations + matmulForwardDp4a',
    arithmetic: 'int8 × int8',
    prepare: (arena, p) => dp4a(arena, p, 1),
  },
  {
    method: 'quantizeActivations + matmulForwardDp4a',
    arithmetic: 'int16 × int8',
    prepare: (arena, p) => dp4a(arena, p, 2),
  },
];
const BACKWARD: readonly Way[] = [
  { method: 'matmulBackward', arithmetic: 'int8 weights', prepare: (arena, p) => backward(int8Matrix(arena, p), p) },
  { method: 'matmulBackward', arithmetic: 'f32', prepare: (arena, p) => backward(f32Matrix(arena, p), p) },
];

/** Cotune's matmuls: the frozen linear forward and by the input. */
export async function openOurs(): Promise<Library & { readonly gpu: Gpu }> {
  const gpu = await openGpu(navigator.gpu, { allowSoftware: true });
  return {
    gpu,
    device: gpu.device,
    contestants: (product) =>
      (product.direction === 'forward' ? FORWARD : BACKWARD).map((way) => () => contestant(gpu, product, way)),
  };
}

function forward(w: Matrix, { m }: Product): Record {
  return (b, x, y) => matmulForward(b, { x, w, y, rows: m });
}

function backward(w: Matrix, { m }: Product): Record {
  return (b, dy, dx) => matmulBackward(b, { dy, w, dx, rows: m, accumulate: false });
}

/** Quantising the activations counts, as it does in MatMulNBits. */
function dp4a(arena: Arena, product: Product, planes: 1 | 2): Record {
  const { m: rows, k: inputs } = product;
  const w = int8Matrix(arena, product);
  const quantized = createQuantizedRows((label, elements) => arena.alloc(label, elements), rows, inputs, planes);
  return (b, x, y) => {
    quantizeActivations(b, { x, quantized, rows, inputs });
    matmulForwardDp4a(b, { x: quantized, w, y, rows });
  };
}

const int8Matrix = (arena: Arena, { weights, scale, shape }: Product): Matrix => ({
  dtype: 'int8',
  q: arena.upload('q', weights.q),
  scale: arena.upload('scale', scale),
  rows: shape.outputs,
  cols: shape.inputs,
});
const f32Matrix = (arena: Arena, { weights, shape }: Product): Matrix => ({
  dtype: 'f32',
  w: arena.upload('w', weights.f32),
  rows: shape.outputs,
  cols: shape.inputs,
});

async function contestant(gpu: Gpu, product: Product, { method, arithmetic, prepare }: Way): Promise<Contestant> {
  const arena = createArena(gpu.device);
  const a = arena.upload('a', product.a);
  const c = arena.alloc('c', product.m * product.n);
  const record = prepare(arena, product);
  let program: Program | undefined;
  let revision = -1;
  /** Recorded anew when the adapter turned out faster or slower than its pieces were cut for, as in training. */
  const recorded = async (): Promise<Program> => {
    if (program && revision === gpu.pace.revision) return program;
    program?.destroy();
    const b = createProgramBuilder(gpu);
    record(b, a, c);
    revision = gpu.pace.revision;
    program = await b.finish(method);
    return program;
  };
  return {
    method,
    arithmetic,
    async run(times) {
      const { run } = await recorded();
      for (let i = 0; i < times; i++) run();
      await finished(gpu.device);
      gpu.check();
    },
    result: () => gpu.readF32(c, product.m * product.n),
    destroy() {
      program?.destroy();
      arena.destroy();
    },
  };
}
