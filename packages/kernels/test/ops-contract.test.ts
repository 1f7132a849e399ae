import { describe, expect, it } from 'vitest';
import type { Kernel } from '../src/gpu/kernel.ts';
import { testGpu } from './gpu.ts';

const modules = import.meta.glob<Record<string, unknown>>(['../src/ops/*.ts', '!../src/ops/*.test.ts'], {
  eager: true,
});
const sources = import.meta.glob<string>('../src/ops/*.ts', { eager: true, query: '?raw', import: 'default' });
const shaders = import.meta.glob('../src/ops/*.wgsl', { query: '?raw' });

/** Every kernel that an op exports, alone or in a group of variants; a new one is covered the moment its file exists. */
const kernels = Object.values(modules)
  .flatMap((exports) => Object.values(exports))
  .flatMap((value) => (isKernel(value) ? [value] : Object.values(value ?? {}).filter(isKernel)));

function isKernel(value: unknown): value is Kernel {
  return typeof value === 'object' && value !== null && 'wgsl' in value && 'params' in value && 'buffers' in value;
}

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
  it('finds the kernels, each with a name of its own', () => {
    expect(kernels.length).toBeGreaterThan(20);
    expect(new Set(kernels.map((kernel) => kernel.name)).size).toBe(kernels.length);
  });

  it.each(Object.keys(shaders))('%s is used by an op', (path) => {
    const statement = `from './${path.split('/').at(-1)}?raw';`;
    expect(Object.values(sources).some((source) => source.includes(statement))).toBe(true);
  });

  it.each(kernels.map((kernel) => [kernel.name, kernel] as const))(
    '%s declares what its WGSL declares',
    (_, kernel) => {
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
    },
  );

  it.each(kernels.map((kernel) => [kernel.name, kernel] as const))('%s compiles', async (_, kernel) => {
    const gpu = await testGpu();
    await expect(gpu.pipeline(kernel)).resolves.toBeDefined();
  });
});
