import { describe, expect, it } from 'vitest';
import { testGpu } from '../../test/gpu.ts';
import { createArena } from './buffers.ts';
import { defineKernel } from './kernel.ts';
import { createPace, type Work } from './pace.ts';
import { createProgramBuilder, gridFor } from './program.ts';
import { planSubmits, stillFits } from './submits.ts';

const flops = (count: number): Work => ({ flops: count, bytes: 0, commands: 1 });

describe('planSubmits', () => {
  it('keeps every submit under the aim, and gives a longer command one of its own', () => {
    const pace = createPace('hardware');
    const seconds = (s: number): Work => flops(s * pace.flopsPerSecond);
    const commands = [0.05, 0.1, 0.04, 0.15, 0.7, 0.01, 0.02].map(seconds);
    const { ends, works } = planSubmits(commands, pace, 0.2);
    expect(ends).toEqual([3, 4, 5, 7]);
    expect(works.map((work) => work.commands)).toEqual([3, 1, 1, 2]);
    expect(works.reduce((sum, work) => sum + work.flops, 0)).toBeCloseTo(1.07 * pace.flopsPerSecond, -3);
  });

  it('cuts by bytes where no arithmetic is stated', () => {
    const pace = createPace('hardware');
    const quarter = { flops: 0, bytes: 0.05 * pace.bytesPerSecond, commands: 1 };
    expect(planSubmits(Array<Work>(10).fill(quarter), pace, 0.21).ends).toEqual([4, 8, 10]);
  });

  it('is kept while the rates stay near, and made anew when they leave', () => {
    const pace = createPace('hardware');
    const plan = planSubmits([flops(1e12)], pace);
    for (let i = 0; i < 6; i++) pace.observe(flops(0.2e12), 0.8);
    expect(stillFits(plan, pace)).toBe(true);
    for (let i = 0; i < 6; i++) pace.observe(flops(0.2e12), 0.1);
    expect(stillFits(plan, pace)).toBe(false);
  });

  it('has no submit for a program without commands', () => {
    expect(planSubmits([], createPace('hardware')).ends).toEqual([]);
  });
});

/** y ← y · 1.0001 + x, `turns` times: arithmetic that takes as long as one likes. */
const iterate = defineKernel({
  name: 'iterate',
  wgsl: `
    struct Params { count: u32, turns: u32 }
    @group(0) @binding(0) var<uniform> params: Params;
    @group(0) @binding(1) var<storage, read> x: array<f32>;
    @group(0) @binding(2) var<storage, read_write> y: array<f32>;
    @compute @workgroup_size(32) fn iterate(@builtin(global_invocation_id) id: vec3u) {
      if (id.x >= params.count) { return; }
      var value = y[id.x];
      for (var i = 0u; i < params.turns; i++) { value = value * 1.0001 + x[id.x]; }
      y[id.x] = value;
    }`,
  params: { count: 'u32', turns: 'u32' },
  buffers: { x: 'read', y: 'write' },
});

describe('programs on the adapter', () => {
  it('are cut into several submits when they are long, and give the same bits', async () => {
    const gpu = await testGpu();
    const count = 1000;
    const run = async (statedFlops: number) => {
      const arena = createArena(gpu.device);
      const x = arena.upload(
        'x',
        Float32Array.from({ length: count }, (_, i) => Math.sin(i)),
      );
      const y = arena.alloc('y', count);
      const b = createProgramBuilder(gpu);
      for (let i = 0; i < 20; i++) {
        b.dispatch(iterate, { x, y }, { count, turns: 50 + i }, gridFor(count, 32), {}, { flops: statedFlops });
      }
      const program = await b.finish('iterate');
      const { submits } = program;
      program.run();
      const result = await gpu.readU32(y, count);
      program.destroy();
      arena.destroy();
      return { submits, result };
    };
    const whole = await run(1);
    const cut = await run(0.15 * gpu.pace.flopsPerSecond);
    expect(whole.submits).toBe(1);
    expect(cut.submits).toBe(20);
    expect(cut.result).toEqual(whole.result);
    expect(new Set(whole.result).size).toBeGreaterThan(900);
  });

  it('measure the pace from their own runs', async () => {
    const gpu = await testGpu();
    const arena = createArena(gpu.device);
    const count = 1024;
    const [x, y] = [arena.alloc('x', count), arena.alloc('y', count)];
    const b = createProgramBuilder(gpu);
    const turns = 20_000;
    // Stated a thousand times over, so that the measured rate has somewhere to go.
    const stated = { flops: 2000 * count * turns };
    b.dispatch(iterate, { x, y }, { count, turns }, gridFor(count, 32), {}, stated);
    const program = await b.finish('iterate');
    const before = gpu.pace.flopsPerSecond;
    for (let i = 0; i < 4; i++) {
      program.run();
      await gpu.idle();
    }
    expect(gpu.pace.flopsPerSecond).toBeGreaterThan(2 * before);
    program.destroy();
    arena.destroy();
  });

  it('count their memory', async () => {
    const gpu = await testGpu();
    const before = gpu.memory.bytes;
    gpu.memory.resetPeak();
    const arena = createArena(gpu.device);
    const [x, y] = [arena.alloc('x', 100), arena.alloc('y', 100)];
    await arena.given();
    const b = createProgramBuilder(gpu);
    b.dispatch(iterate, { x, y }, { count: 100, turns: 1 }, gridFor(100, 32));
    const program = await b.finish('iterate');
    expect(gpu.memory.bytes - before).toBe(800 + 256);
    await gpu.readF32(y, 100);
    expect(gpu.memory.bytes - before).toBe(800 + 256);
    program.destroy();
    arena.destroy();
    arena.destroy();
    expect(gpu.memory.bytes).toBe(before);
    expect(gpu.memory.peakBytes - before).toBe(800 + 256 + 400);
  });

  it('tell missing memory by the buffer’s name, and go on once it is given up', async (context) => {
    const gpu = await testGpu();
    // SwiftShader states a largest buffer that it cannot allocate; other adapters have what they state.
    if (gpu.adapter.kind !== 'swiftshader') context.skip();
    const arena = createArena(gpu.device);
    const { maxBufferSize, maxStorageBufferBindingSize } = gpu.device.limits;
    arena.alloc('far too much', Math.floor(Math.min(maxBufferSize, maxStorageBufferBindingSize) / 4));
    await expect(arena.given()).rejects.toMatchObject({ code: 'out-of-memory' });
    expect(() => gpu.check()).toThrow(/MiB left for far too much/);
    arena.destroy();
    gpu.check();
  });

  it('profile every kernel by name', async () => {
    const gpu = await testGpu();
    const arena = createArena(gpu.device);
    const count = 1024;
    const [x, y] = [arena.alloc('x', count), arena.alloc('y', count)];
    const short = defineKernel({ ...iterate, name: 'short' });
    const b = createProgramBuilder(gpu);
    b.dispatch(iterate, { x, y }, { count, turns: 10_000 }, gridFor(count, 32), {}, { flops: 20_000 * count });
    b.dispatch(short, { x, y }, { count, turns: 1 }, gridFor(count, 32));
    b.dispatch(iterate, { x, y }, { count, turns: 10_000 }, gridFor(count, 32), {}, { flops: 20_000 * count });
    const program = await b.finish('profile');
    for (const options of [{}, { nowMs: () => performance.now() }]) {
      const times = await program.profile(options);
      expect(times.map(({ kernel, dispatches, flops }) => ({ kernel, dispatches, flops }))).toEqual([
        { kernel: 'iterate', dispatches: 2, flops: 40_000 * count },
        { kernel: 'short', dispatches: 1, flops: 0 },
      ]);
      for (const { ms } of times) expect(ms).toBeGreaterThan(0);
    }
    program.destroy();
    arena.destroy();
  });
});
