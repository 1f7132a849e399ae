import { describe, expect, it } from 'vitest';
import { testGpu } from '../../test/gpu.ts';
import { createArena } from './buffers.ts';
import { GpuError } from './error.ts';
import { defineKernel } from './kernel.ts';
import { createProgramBuilder, gridFor } from './program.ts';

const scaleAdd = defineKernel({
  name: 'scale_add',
  wgsl: `
    struct Params { count: u32, factor: f32 }
    @group(0) @binding(0) var<uniform> params: Params;
    @group(0) @binding(1) var<storage, read> x: array<f32>;
    @group(0) @binding(2) var<storage, read_write> y: array<f32>;
    override BIAS: f32 = 0.0;
    @compute @workgroup_size(32) fn scale_add(@builtin(global_invocation_id) id: vec3u) {
      if (id.x < params.count) { y[id.x] = y[id.x] + x[id.x] * params.factor + BIAS; }
    }`,
  params: { count: 'u32', factor: 'f32' },
  buffers: { x: 'read', y: 'write' },
});

describe('program', () => {
  it('replays dispatches, copies and clears in order', async () => {
    const gpu = await testGpu();
    const arena = createArena(gpu.device);
    const x = arena.upload(
      'x',
      Float32Array.from({ length: 70 }, (_, i) => i),
    );
    const y = arena.alloc('y', 70);
    const z = arena.alloc('z', 70);
    const builder = createProgramBuilder(gpu);
    builder.clear(y);
    builder.dispatch(scaleAdd, { x, y }, { count: 69, factor: 2 }, gridFor(69, 32), { BIAS: 1 });
    builder.copy(y, z, 280);
    builder.dispatch(scaleAdd, { x, y }, { count: 70, factor: 1 }, gridFor(70, 32));
    const program = await builder.finish('test');
    program.run();
    program.run();
    const [first, second] = [await gpu.readF32(z, 70), await gpu.readF32(y, 70)];
    expect([...first]).toEqual(Array.from({ length: 70 }, (_, i) => (i < 69 ? 2 * i + 1 : 0)));
    expect([...second]).toEqual(Array.from({ length: 70 }, (_, i) => (i < 69 ? 3 * i + 1 : i)));
    program.destroy();
    arena.destroy();
  });

  it('names the kernel and the line of a shader error', async () => {
    const gpu = await testGpu();
    const broken = defineKernel({ ...scaleAdd, name: 'broken', wgsl: scaleAdd.wgsl.replace('y[id.x] +', 'nowhere +') });
    const error = await gpu.pipeline(broken).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(GpuError);
    expect(String(error)).toMatch(/kernel broken, line 8:.*nowhere/);
  });

  it('refuses a buffer that one binding cannot hold', async () => {
    const gpu = await testGpu();
    const arena = createArena(gpu.device);
    expect(() => arena.alloc('huge', 2 ** 40)).toThrow(/huge needs .* MiB in one buffer/);
  });

  it('folds large grids into two dimensions', () => {
    expect(gridFor(10, 64)).toEqual([1, 1, 1]);
    const [x, y] = gridFor(64 * 100_000, 64);
    expect(x).toBeLessThanOrEqual(65535);
    expect(x * y).toBeGreaterThanOrEqual(100_000);
  });
});
