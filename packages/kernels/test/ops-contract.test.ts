import { describe, expect, it } from 'vitest';
import type { Kernel } from '../src/gpu/kernel.ts';
import { testGpu } from './gpu.ts';

const modules = import.meta.glob<Record<string, unknown>>(['../src/ops/*.ts', '!../src/ops/*.test.ts'], {
  eager: true,
});
const sources = import.meta.glob<string>('../src/ops/*.wgsl', { eager: true, query: '?raw', import: 'default' });

/** Every kernel that an op exports; an extension is covered the moment its file exists. */
const kernels = Object.values(modules).flatMap((exports) => Object.values(exports).filter(isKernel));

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
  it('finds the kernels, and every WGSL file belongs to one', () => {
    expect(kernels.length).toBeGreaterThan(10);
    expect(new Set(kernels.map((kernel) => kernel.name)).size).toBe(kernels.length);
    for (const [path, source] of Object.entries(sources)) {
      const longest = source.split('\n').reduce((best, line) => (line.length > best.length ? line : best), '');
      const used = kernels.some((kernel) => kernel.wgsl.includes(longest));
      expect(used, `${path} is used by no exported kernel`).toBe(true);
    }
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
