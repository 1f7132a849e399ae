import { describe, expect, it, vi } from 'vitest';
import type { Kernel } from '../src/gpu/kernel.ts';
import { testGpu } from './gpu.ts';

/** Every kernel that an op defines, exported or not; a new one is covered the moment its file exists. */
const kernels: Kernel[] = vi.hoisted(() => []);
vi.mock('../src/gpu/kernel.ts', async (original) => {
  const actual = await original<typeof import('../src/gpu/kernel.ts')>();
  const defineKernel = (spec: Parameters<typeof actual.defineKernel>[0]) => {
    const kernel = actual.defineKernel(spec);
    kernels.push(kernel);
    return kernel;
  };
  return { ...actual, defineKernel };
});

import.meta.glob(['../src/ops/*.ts', '!../src/ops/*.test.ts'], { eager: true });
const sources = import.meta.glob<string>('../src/ops/*.ts', { eager: true, query: '?raw', import: 'default' });
const shaders = import.meta.glob('../src/ops/*.wgsl', { query: '?raw' });

/** Names for the tests: variants of a kernel share their name and differ in the tiles written into their source. */
const named = kernels.map((kernel, i) => {
  const before = kernels.slice(0, i).filter(({ name }) => name === kernel.name).length;
  return [before === 0 ? kernel.name : `${kernel.name}, variant ${before + 1}`, kernel] as const;
});

/** The one declaration of `struct Params`, as [name, type] in order. */
function paramsOf(wgsl: string): string[][] {
  const body = /struct Params \{([^}]*)\}/.exec(wgsl)?.[1] ?? '';
  return body
    .split(',')
    .map((member) => member.split(':').map((word) => word.trim()))
    .filter(([name]) => name !== '');
}

function bindingsOf(wgsl: string) {
  const pattern = /@group\((\d+)\)\s*@binding\((\d+)\)\s*var<([^>]*)>\s*(\w+)\s*:/g;
  return [...wgsl.matchAll(pattern)].map(([, group, binding, space, name]) => ({
    group: Number(group),
    binding: Number(binding),
    space: space?.replaceAll(' ', ''),
    name,
  }));
}

describe('ops contract', () => {
  it('finds the kernels, of which those of one name differ in their source alone', () => {
    const byName = new Map<string, Kernel[]>();
    for (const kernel of kernels) byName.set(kernel.name, [...(byName.get(kernel.name) ?? []), kernel]);
    expect(byName.size).toBeGreaterThan(25);
    expect([...byName.keys()]).toEqual(
      expect.arrayContaining(['matmul_forward_tile_int8', 'lora_down', 'embedding_f32']),
    );
    for (const variants of byName.values()) {
      expect(new Set(variants.map(({ wgsl }) => wgsl)).size).toBe(variants.length);
      expect(new Set(variants.map(({ entry, params, buffers }) => JSON.stringify([entry, params, buffers]))).size).toBe(
        1,
      );
    }
  });

  it.each(Object.keys(shaders))('%s is used by an op', (path) => {
    const statement = `from './${path.split('/').at(-1)}?raw';`;
    expect(Object.values(sources).some((source) => source.includes(statement))).toBe(true);
  });

  it.each(named)('%s declares what its WGSL declares', (_, kernel) => {
    expect(paramsOf(kernel.wgsl)).toEqual(Object.entries(kernel.params));
    const storage = Object.entries(kernel.buffers).map(([name, access], i) => ({
      group: 0,
      binding: i + 1,
      space: access === 'read' ? 'storage,read' : 'storage,read_write',
      name,
    }));
    const uniform = { group: 0, binding: 0, space: 'uniform', name: 'params' };
    expect(bindingsOf(kernel.wgsl)).toEqual([uniform, ...storage]);
    expect(storage.length).toBeLessThanOrEqual(8); // WebGPU's default maxStorageBuffersPerShaderStage
    expect(kernel.wgsl).toMatch(new RegExp(`fn ${kernel.entry}\\(`));
  });

  it.each(named)('%s compiles, or says which feature it lacks', async (_, kernel) => {
    const gpu = await testGpu();
    const offered = kernel.features.every((feature) => gpu.device.features.has(feature));
    if (offered) await expect(gpu.pipeline(kernel)).resolves.toBeDefined();
    else await expect(gpu.pipeline(kernel)).rejects.toThrow(/needs the WebGPU feature/);
  });
});
