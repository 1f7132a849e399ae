import { afterAll, describe, expect, it } from 'vitest';
import { testGpu } from '../../test/gpu.ts';
import { randomValues, relativeL2, unwritten } from '../../test/reference.ts';
import { createArena } from '../gpu/buffers.ts';
import { compileKernel } from '../gpu/kernel.ts';
import { createProgramBuilder, type ProgramBuilder } from '../gpu/program.ts';
import { type MatmulBackwardF16, type MatmulForwardF16, matmulBackwardF16, matmulForwardF16 } from './matmul_f16.ts';
import {
  type MatrixUnit,
  matmulBackwardSubgroup,
  matmulForwardSubgroup,
  matrixUnit,
  SUBGROUP_MATRIX,
  subgroupKernels,
} from './matmul_subgroup.ts';
import type { Matrix } from './matrix.ts';

const unit = (M: number, N: number, K: number, subgroupSize: number): MatrixUnit => ({
  componentType: 'f16',
  resultType: 'f32',
  ...{ M, N, K, subgroupSize },
});
/** Sizes as on NVIDIA, Intel and Apple. The null backend takes whole subgroups of 128 for the largest. */
const UNITS = [unit(16, 16, 16, 32), unit(8, 16, 16, 32), unit(8, 8, 8, 32)];

// Dawn's null backend has every feature and runs nothing: Tint checks the WGSL, and Dawn the pipeline. Kept reachable: see node.ts.
const kept = globalThis as typeof globalThis & { nullDawn?: GPU };
async function nullDevice(): Promise<GPUDevice> {
  const { create, globals } = await import('webgpu');
  Object.assign(globalThis, globals);
  kept.nullDawn = create(['backend=null', 'enable-dawn-features=allow_unsafe_apis']);
  const adapter = await kept.nullDawn.requestAdapter();
  if (!adapter) throw new Error('Dawn has no null backend');
  return adapter.requestDevice({ requiredFeatures: ['shader-f16', 'subgroups', SUBGROUP_MATRIX] });
}
const device = await nullDevice();
afterAll(() => device.destroy());

describe('subgroup matrix kernels, as Dawn validates them', () => {
  it.each(UNITS)('$M×$N×$K, subgroups of $subgroupSize', async (one) => {
    const { forward, backward } = subgroupKernels(one);
    for (const kernel of [forward.int8, forward.f32, backward.int8, backward.f32]) {
      await expect(compileKernel(device, kernel as never)).resolves.toBeDefined();
      const storage = [...kernel.wgsl.matchAll(/@binding\((\d+)\) var<storage, (read|read_write)> (\w+):/g)];
      const bound = storage.map(([, at, access, name]) => [Number(at), name, access === 'read' ? 'read' : 'write']);
      expect(bound).toEqual(Object.entries(kernel.buffers).map(([name, access], i) => [i + 1, name, access]));
    }
  });

  it('would fail for a matrix of the wrong role', async () => {
    const kernel = subgroupKernels(unit(16, 16, 16, 32)).forward.int8;
    const wgsl = kernel.wgsl.replace(/subgroup_matrix_left/g, 'subgroup_matrix_right');
    await expect(compileKernel(device, { ...kernel, wgsl } as never)).rejects.toThrow(
      /subgroupMatrixMultiplyAccumulate/,
    );
  });
});

interface Products {
  forward(b: ProgramBuilder, op: MatmulForwardF16): void;
  backward(b: ProgramBuilder, op: MatmulBackwardF16): void;
}

async function expectLikeF16(
  products: Products,
  dtype: Matrix['dtype'],
  rows: number,
  inputs: number,
  outputs: number,
) {
  const gpu = await testGpu();
  const arena = createArena(gpu.device);
  const size = { rows: outputs, cols: inputs };
  const q = Int8Array.from(randomValues(3, outputs * inputs, 50), (value) => Math.max(-127, Math.min(127, value)));
  const scale = Float32Array.from({ length: outputs }, (_, n) => 0.002 + 0.001 * (n % 7));
  const w: Matrix =
    dtype === 'int8'
      ? { dtype, q: arena.upload('q', q), scale: arena.upload('s', scale), ...size }
      : { dtype, w: arena.upload('w', randomValues(4, outputs * inputs)), ...size };
  const x = arena.upload('x', randomValues(1, rows * inputs));
  const dy = arena.upload('dy', randomValues(2, rows * outputs, 1e-6));
  const exponent = arena.alloc('exponent', rows);
  const run = async (elements: number, record: (b: ProgramBuilder, out: typeof x) => void) => {
    const out = arena.upload('out', unwritten(elements));
    const b = createProgramBuilder(gpu);
    record(b, out);
    const program = await b.finish('subgroup matrix');
    program.run();
    program.destroy();
    return gpu.readF32(out, elements);
  };
  const forward = await run(rows * outputs, (b, y) => products.forward(b, { x, w, y, rows }));
  const plain = await run(rows * outputs, (b, y) => matmulForwardF16(b, { x, w, y, rows }));
  expect(relativeL2(forward, plain)).toBeLessThan(1e-5);
  const back = { dy, w, rows, accumulate: false, exponent };
  const backward = await run(rows * inputs, (b, dx) => products.backward(b, { ...back, dx }));
  const plainBack = await run(rows * inputs, (b, dx) => matmulBackwardF16(b, { ...back, dx }));
  expect(relativeL2(backward, plainBack)).toBeLessThan(1e-5);
  arena.destroy();
}

const SHAPES = [
  [3, 20, 7],
  [64, 64, 64],
  [67, 132, 105],
] as const;
const gpu = await testGpu();

describe('the matrix unit', () => {
  const gpuOf = (info: object, features: readonly string[] = [SUBGROUP_MATRIX, 'shader-f16']) => ({
    device: {
      features: new Set(features),
      limits: { maxComputeInvocationsPerWorkgroup: 256, maxComputeWorkgroupStorageSize: 16384 },
      adapterInfo: { subgroupMinSize: 32, subgroupMaxSize: 32, ...info },
    } as unknown as GPUDevice,
  });
  const configs = [unit(16, 8, 8, 0), unit(16, 16, 16, 0), { ...unit(32, 32, 32, 0), resultType: 'f16' }];

  it('is the largest that fits', () => {
    expect(matrixUnit(gpuOf({ subgroupMatrixConfigs: configs }))).toEqual(unit(16, 16, 16, 32));
  });

  it('leaves out sizes whose tiles and sums pass the workgroup memory', () => {
    const large = [unit(32, 32, 16, 0), unit(16, 8, 8, 0)];
    expect(matrixUnit(gpuOf({ subgroupMatrixConfigs: large }))).toEqual(unit(16, 8, 8, 32));
  });

  it('is none without the feature, with subgroups of several sizes, or with none from f16 to f32', () => {
    expect(matrixUnit(gpuOf({ subgroupMatrixConfigs: configs }, ['shader-f16']))).toBeNull();
    expect(matrixUnit(gpuOf({ subgroupMatrixConfigs: configs, subgroupMinSize: 8 }))).toBeNull();
    expect(matrixUnit(gpuOf({ subgroupMatrixConfigs: configs.slice(2) }))).toBeNull();
    expect(matrixUnit(gpuOf({}))).toBeNull();
  });
});

const found = matrixUnit(gpu);

// Where no adapter has matrix units, which holds for llvmpipe and SwiftShader, this is skipped: nothing then shows that the
// extension itself computes what the kernels expect of it.
describe.skipIf(!found)('subgroup matrix products against matmul_f16, where the adapter has matrix units', () => {
  it.each(SHAPES)('%i × %i → %i', async (...shape) => {
    const matrices = found as MatrixUnit; // describe.skipIf
    const products: Products = {
      forward: (b, op) => matmulForwardSubgroup(b, matrices, op),
      backward: (b, op) => matmulBackwardSubgroup(b, matrices, op),
    };
    for (const dtype of ['int8', 'f32'] as const) await expectLikeF16(products, dtype, ...shape);
  });
});
