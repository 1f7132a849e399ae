import { describe, expect, it } from 'vitest';
import { testGpu } from '../../test/gpu.ts';
import { randomValues, relativeL2, unwritten } from '../../test/reference.ts';
import { type Arena, createArena } from '../gpu/buffers.ts';
import { createProgramBuilder, type ProgramBuilder } from '../gpu/program.ts';
import { hasF16, matmulBackwardF16, matmulForwardF16 } from './matmul_f16.ts';
import type { Matrix } from './matrix.ts';

/**
 * Rounded to f16's 11 significant bits (normal range only), as the kernel's inputs are: to nearest even, or towards zero;
 * WGSL leaves the direction to the device.
 */
function half(value: number, mode: 'nearest' | 'zero' = 'nearest'): number {
  if (value === 0) return 0;
  const unit = 2 ** (Math.floor(Math.log2(Math.abs(value))) - 10);
  const steps = value / unit;
  if (mode === 'zero') return Math.trunc(steps) * unit;
  const floor = Math.floor(steps);
  const rest = steps - floor;
  const up = rest > 0.5 || (rest === 0.5 && floor % 2 !== 0);
  return (floor + (up ? 1 : 0)) * unit;
}

function makeWeights(arena: Arena, dtype: Matrix['dtype'], outputs: number, inputs: number) {
  if (dtype === 'f32') {
    const w = randomValues(3, outputs * inputs, 0.1);
    return {
      matrix: { dtype, w: arena.upload('w', w), rows: outputs, cols: inputs } satisfies Matrix,
      dense: Float64Array.from(w),
      scale: new Float32Array(outputs).fill(1),
    };
  }
  const q = Int8Array.from(randomValues(3, outputs * inputs, 50), (value) => Math.max(-127, Math.min(127, value)));
  const scale = Float32Array.from({ length: outputs }, (_, n) => 0.002 + 0.001 * (n % 7));
  return {
    matrix: {
      dtype,
      q: arena.upload('q', q),
      scale: arena.upload('s', scale),
      rows: outputs,
      cols: inputs,
    } satisfies Matrix,
    dense: Float64Array.from(q),
    scale,
  };
}

async function run(record: (b: ProgramBuilder) => void): Promise<void> {
  const b = createProgramBuilder(await testGpu());
  record(b);
  const program = await b.finish('f16 matmul');
  program.run();
  program.destroy();
}

const SHAPES = [
  [1, 64, 64],
  [3, 20, 7],
  [5, 64, 65],
  [65, 132, 34],
  [67, 44, 105],
] as const;
const f16 = hasF16(await testGpu());

describe.skipIf(!f16).each(['int8', 'f32'] as const)('f16 matmul, %s weights (needs shader-f16)', (dtype) => {
  it.each(SHAPES)('forward %i × %i → %i is the product of rounded inputs', async (rows, inputs, outputs) => {
    const gpu = await testGpu();
    const arena = createArena(gpu.device);
    const { matrix, dense, scale } = makeWeights(arena, dtype, outputs, inputs);
    const x = randomValues(1, rows * inputs);
    const y = arena.upload('y', unwritten(rows * outputs));
    await run((b) => matmulForwardF16(b, { x: arena.upload('x', x), w: matrix, y, rows }));
    const nearest = new Float64Array(rows * outputs);
    const zero = new Float64Array(rows * outputs);
    const truth = new Float64Array(rows * outputs);
    for (let m = 0; m < rows; m++) {
      for (let n = 0; n < outputs; n++) {
        for (let k = 0; k < inputs; k++) {
          const [a, w] = [x[m * inputs + k] ?? 0, dense[n * inputs + k] ?? 0];
          const s = scale[n] ?? 0;
          const i = m * outputs + n;
          nearest[i] = (nearest[i] ?? 0) + s * half(a) * half(w);
          zero[i] = (zero[i] ?? 0) + s * half(a, 'zero') * half(w, 'zero');
          truth[i] = (truth[i] ?? 0) + s * a * w;
        }
      }
    }
    const got = await gpu.readF32(y, rows * outputs);
    expect(Math.min(relativeL2(got, nearest), relativeL2(got, zero))).toBeLessThan(1e-6);
    expect(relativeL2(got, truth)).toBeLessThan(1e-3);
    expect(relativeL2(got, truth)).toBeGreaterThan(1e-5); // or nothing was rounded
    arena.destroy();
  });

  it.each(SHAPES)('backward %i × %i → %i keeps gradients of any size', async (rows, inputs, outputs) => {
    const gpu = await testGpu();
    const arena = createArena(gpu.device);
    const { matrix, dense, scale } = makeWeights(arena, dtype, outputs, inputs);
    // Rows from 10⁻¹² to 10⁶, far beyond f16's range, and one of zeros, as padding is.
    const size = (m: number) => (m === 2 ? 0 : 10 ** (((m * 7) % 19) - 12));
    const dy = randomValues(2, rows * outputs).map((value, i) => value * size(Math.floor(i / outputs)));
    const before = randomValues(5, rows * inputs, 1e-9);
    for (const accumulate of [false, true]) {
      const dx = arena.upload('dx', accumulate ? before : unwritten(rows * inputs));
      const exponent = arena.upload('exponent', unwritten(rows));
      await run((b) => matmulBackwardF16(b, { dy: arena.upload('dy', dy), w: matrix, dx, rows, accumulate, exponent }));
      const got = await gpu.readF32(dx, rows * inputs);
      for (let m = 0; m < rows; m++) {
        const expected = new Float64Array(inputs);
        for (let k = 0; k < inputs; k++) {
          let sum = 0;
          for (let n = 0; n < outputs; n++) {
            sum += (dy[m * outputs + n] ?? 0) * (scale[n] ?? 0) * (dense[n * inputs + k] ?? 0);
          }
          expected[k] = sum + (accumulate ? (before[m * inputs + k] ?? 0) : 0);
        }
        expect(relativeL2(got.subarray(m * inputs, (m + 1) * inputs), expected), `row ${m}`).toBeLessThan(2e-3);
      }
    }
    arena.destroy();
  });

  it('holds what passes f16 at its largest number', async () => {
    const gpu = await testGpu();
    const arena = createArena(gpu.device);
    const { matrix, dense, scale } = makeWeights(arena, dtype, 3, 4);
    const y = arena.alloc('y', 3);
    await run((b) =>
      matmulForwardF16(b, { x: arena.upload('x', Float32Array.of(1e6, 0, 0, 0)), w: matrix, y, rows: 1 }),
    );
    const expected = Array.from({ length: 3 }, (_, n) => 65504 * (scale[n] ?? 0) * half(dense[n * 4] ?? 0));
    expect(relativeL2(await gpu.readF32(y, 3), expected)).toBeLessThan(1e-6);
    arena.destroy();
  });
});

it('refuses a device without shader-f16', async () => {
  const gpu = await testGpu();
  const without = { ...gpu, device: { features: new Set() } as unknown as GPUDevice };
  const b = { ...createProgramBuilder(gpu), gpu: without };
  const view = { buffer: {} as GPUBuffer, offset: 0, size: 16 };
  const w = { dtype: 'f32' as const, w: view, rows: 1, cols: 4 };
  expect(() => matmulForwardF16(b, { x: view, w, y: view, rows: 1 })).toThrow(/shader-f16/);
  const backward = { dy: view, w, dx: view, rows: 1, accumulate: false, exponent: view };
  expect(() => matmulBackwardF16(b, backward)).toThrow(/shader-f16/);
});
