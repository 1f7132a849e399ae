import { createArena } from '../../../../src/gpu/buffers.ts';
import type { Gpu } from '../../../../src/gpu/device.ts';
import { createProgramBuilder, type ProgramBuilder } from '../../../../src/gpu/program.ts';
import { openGpu } from '../../../../src/index.ts';
import { matmulBackward, matmulForward } from '../../../../src/ops/matmul.ts';
import type { Matrix } from '../../../../src/ops/matrix.ts';
import { type Arithmetic, type Contestant, finished, type Library } from './contestant.ts';
import type { Product } from './product.ts';

type Arena = ReturnType<typeof createArena>;
type View = ReturnType<Arena['alloc']>;

/** Cotune's matmuls: the frozen linear with int8 and with f32 weights, forward and by the input. */
export async function openOurs(): Promise<Library & { readonly gpu: Gpu }> {
  const gpu = await openGpu(navigator.gpu, { allowSoftware: true });
  return {
    gpu,
    device: gpu.device,
    contestants: (product) => [
      () => contestant(gpu, product, 'int8 weights', record(product, int8Matrix)),
      () => contestant(gpu, product, 'f32', record(product, f32Matrix)),
    ],
  };
}

/** Records one product; the last argument says where weights and scratch go. */
type Record = (b: ProgramBuilder, views: { a: View; c: View }, arena: Arena) => void;

function record(product: Product, matrix: (arena: Arena, product: Product) => Matrix): Record {
  return (b, { a, c }, arena) => {
    const w = matrix(arena, product);
    if (product.direction === 'forward') matmulForward(b, { x: a, w, y: c, rows: product.m });
    else matmulBackward(b, { dy: a, w, dx: c, rows: product.m, accumulate: false });
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

async function contestant(gpu: Gpu, product: Product, arithmetic: Arithmetic, write: Record): Promise<Contestant> {
  const arena = createArena(gpu.device);
  const a = arena.upload('a', product.a);
  const c = arena.alloc('c', product.m * product.n);
  const b = createProgramBuilder(gpu);
  write(b, { a, c }, arena);
  const program = await b.finish(`${product.direction}, ${arithmetic}`);
  return {
    method: product.direction === 'forward' ? 'matmulForward' : 'matmulBackward',
    arithmetic,
    async run(times) {
      for (let i = 0; i < times; i++) program.run();
      await finished(gpu.device);
      gpu.check();
    },
    result: () => gpu.readF32(c, product.m * product.n),
    destroy() {
      program.destroy();
      arena.destroy();
    },
  };
}
