import { describe, expect, it } from 'vitest';
import { testGpu } from '../../test/gpu.ts';
import { TINY } from '../../test/random-model.ts';
import { createArena } from '../gpu/buffers.ts';
import { GpuError } from '../gpu/error.ts';
import { MODEL_PRESETS } from '../llama/plan-presets.ts';
import { allocVector, segmentsOf, sliceOf, uploadVector, writeVector } from './flat-vector.ts';
import { adapterLayout, LORA_TARGETS } from './layout.ts';
import { uniform } from './uniform.ts';
import { createVectorReader } from './vector-reader.ts';

const layout = adapterLayout(TINY, { rank: 3, alpha: 6, dropout: 0, targets: LORA_TARGETS });
const values = Float32Array.from({ length: layout.length }, (_, i) => uniform(3, i) - 0.5);
const MIB = 2 ** 20;

describe('the cuts of a flat vector', () => {
  it.each([1, 100, 600, 4000, 10_000, 1e9])('lie between tensors, as few as %i bytes a buffer allow', (bufferBytes) => {
    const segments = segmentsOf(layout, bufferBytes);
    const starts = [...layout.tensors.map(({ offset }) => offset), layout.length];
    let at = 0;
    for (const { start, length } of segments) {
      expect(start).toBe(at);
      expect(starts).toContain(start);
      const tensors = layout.tensors.filter(({ offset }) => offset >= start && offset < start + length);
      if (tensors.length > 1) expect(length * 4).toBeLessThanOrEqual(bufferBytes);
      at = start + length;
      const next = starts[starts.indexOf(at) + 1] ?? Number.POSITIVE_INFINITY;
      expect((next - start) * 4, 'one more tensor would have had room').toBeGreaterThan(bufferBytes);
    }
    expect(at).toBe(layout.length);
  });

  it('leave every rank of Llama-2-7B’s seven linears in buffers that each WebGPU device binds', () => {
    for (const rank of [8, 16, 128, 256]) {
      const wide = adapterLayout(MODEL_PRESETS['llama-2-7b'], { rank, alpha: 1, dropout: 0, targets: LORA_TARGETS });
      const segments = segmentsOf(wide, 128 * MIB);
      expect(Math.max(...segments.map(({ length }) => length * 4))).toBeLessThanOrEqual(128 * MIB);
      expect(segments).toHaveLength(Math.ceil((wide.length * 4) / (126 * MIB))); // a tensor is 11 MiB at most
    }
  });
});

it('reads back in the order of its elements what was written, through a mapping buffer of any size', async () => {
  const gpu = await testGpu();
  const arena = createArena(gpu.device);
  const segments = segmentsOf(layout, 1000);
  expect(segments.length).toBeGreaterThan(3);
  const [one, two] = [allocVector(arena, 'one', segments), allocVector(arena, 'two', segments)];
  const others = values.map((value) => -2 * value);
  writeVector(gpu.device, one, values);
  writeVector(gpu.device, two, others);
  for (const room of [97, layout.length, 2 * layout.length, 5 * layout.length]) {
    const reader = createVectorReader(gpu, room);
    expect(await reader.read([one, two])).toEqual([values, others]);
    expect(await reader.read([two])).toEqual([others]);
    reader.destroy();
  }
  const before = gpu.memory.bytes;
  const reader = createVectorReader(gpu, 97);
  expect(gpu.memory.bytes).toBe(before); // nothing before it is needed
  await reader.read([one]);
  expect(gpu.memory.bytes - before).toBe(4 * 97);
  reader.destroy();
  expect(() => writeVector(gpu.device, one, values.subarray(1))).toThrow(RangeError);
  arena.destroy();
});

it('binds of a matrix no more than WebGPU’s alignment of 256 bytes asks for', async () => {
  const gpu = await testGpu();
  const arena = createArena(gpu.device);
  for (const bufferBytes of [1000, 1e9]) {
    const vector = allocVector(arena, 'vector', segmentsOf(layout, bufferBytes));
    writeVector(gpu.device, vector, values);
    for (const tensor of layout.tensors) {
      const { view, offset } = sliceOf(vector, tensor);
      const elements = tensor.shape[0] * tensor.shape[1];
      expect(view.offset % 256).toBe(0);
      expect(offset).toBeLessThan(64);
      expect(view.size).toBe(4 * (offset + elements));
      const bound = await gpu.readF32(view, view.size / 4);
      expect(bound.subarray(offset)).toEqual(values.subarray(tensor.offset, tensor.offset + elements));
    }
    const foreign = { name: 'other', offset: layout.length - 1, shape: [1, 2] } as const;
    expect(() => sliceOf(vector, foreign)).toThrow(/other.*another layout/);
  }
  arena.destroy();
});

it('uploads an adapter as one buffer where the device binds it, and refuses a tensor that it cannot bind', async () => {
  const gpu = await testGpu();
  const arena = createArena(gpu.device);
  const { pieces } = uploadVector(arena, gpu.device, { layout, vector: values });
  expect(pieces.map(({ start, length }) => [start, length])).toEqual([[0, layout.length]]);
  const limit = gpu.device.limits.maxStorageBufferBindingSize;
  const huge = { tensors: [{ ...(layout.tensors[0] as (typeof layout.tensors)[number]), shape: [1, limit] as const }] };
  const segments = segmentsOf({ ...huge, length: limit }, limit);
  expect(segments).toHaveLength(1);
  expect(() => allocVector(arena, 'huge', segments)).toThrow(GpuError);
  arena.destroy();
});
