// Speed of the frozen-weight matmul and of LoRA: npx vitest bench --run --project kernels matmul
// An iteration is ten replays; GFLOP/s = hz × the GFLOP in the name. VK_ICD_FILENAMES chooses the adapter.
import { afterAll, bench, describe } from 'vitest';
import { createArena } from '../src/gpu/buffers.ts';
import { openNodeGpu } from '../src/gpu/node.ts';
import { createProgramBuilder, type ProgramBuilder } from '../src/gpu/program.ts';
import { loraBackward, loraForward } from '../src/ops/lora.ts';
import { matmulBackward, matmulForward } from '../src/ops/matmul.ts';
import type { Matrix } from '../src/ops/matrix.ts';

const REPLAYS = 10;
const gpu = await openNodeGpu({ allowSoftware: true });
const arena = createArena(gpu.device);
afterAll(() => gpu.destroy());

const random = (label: string, elements: number) =>
  arena.upload(
    label,
    Float32Array.from({ length: elements }, (_, i) => Math.sin(i * 1.7)),
  );

async function add(name: string, flops: number, record: (b: ProgramBuilder) => void): Promise<void> {
  const b = createProgramBuilder(gpu);
  for (let i = 0; i < REPLAYS; i++) record(b);
  const program = await b.finish(name);
  program.run(); // compiles what the driver left for the first use
  await gpu.idle();
  bench(
    `${name}, ${((REPLAYS * flops) / 1e9).toFixed(3)} GFLOP`,
    async () => {
      program.run();
      await gpu.idle();
    },
    { time: 500, warmupIterations: 1, warmupTime: 0 },
  );
}

describe.each([
  [256, 1024, 1024],
  [512, 128, 344],
])(`${gpu.adapter.kind}, %i × %i → %i`, async (rows, inputs, outputs) => {
  const q = Int8Array.from({ length: outputs * inputs }, (_, i) => ((i * 37) % 255) - 127);
  const size = { rows: outputs, cols: inputs };
  const int8: Matrix = { dtype: 'int8', q: arena.upload('q', q), scale: random('scale', outputs), ...size };
  const f32: Matrix = { dtype: 'f32', w: random('w', outputs * inputs), ...size };
  const x = random('x', rows * inputs);
  const y = random('y', rows * outputs);
  const flops = 2 * rows * inputs * outputs;
  for (const w of [int8, f32]) {
    await add(`${w.dtype} forward`, flops, (b) => matmulForward(b, { x, w, y, rows }));
    await add(`${w.dtype} backward`, flops, (b) => matmulBackward(b, { dy: y, w, dx: x, rows, accumulate: false }));
  }
  const rank = 8;
  const matrix = (name: string, wide: number) => ({ view: random(name, rank * wide), offset: 0 });
  const matrices = { a: matrix('A', inputs), b: matrix('B', outputs) };
  const lora = { x, z: random('z', rows * rank), ...matrices, rows, inputs, outputs, rank, scale: 1e-6 };
  const gradients = {
    dy: y,
    dx: random('dx', rows * inputs),
    dz: random('dz', rows * rank),
    da: matrix('dA', inputs),
    db: matrix('dB', outputs),
  };
  const pair = 2 * rows * rank * (inputs + outputs);
  await add('LoRA forward, rank 8', pair, (b) => loraForward(b, { ...lora, y }));
  await add('LoRA backward, rank 8', 2 * pair, (b) => loraBackward(b, { ...lora, ...gradients }));
});
