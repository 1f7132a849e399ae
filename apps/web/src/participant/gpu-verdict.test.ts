import { describe, expect, it } from 'vitest';
import { enableWebGpuSteps, readBrowser } from './browser.ts';
import { judgeGpu } from './gpu-verdict.ts';

const UBUNTU_CHROME =
  'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 Safari/537.36';
const MAC_SAFARI =
  'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.4 Safari/605.1.15';
const EDGE =
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 Safari/537.36 Edg/150.0.0.0';

const limits = {
  maxBufferSize: 2 ** 31,
  maxStorageBufferBindingSize: 2 ** 27,
  maxComputeWorkgroupStorageSize: 16384,
  maxComputeInvocationsPerWorkgroup: 256,
  maxComputeWorkgroupSizeX: 256,
  maxComputeWorkgroupSizeY: 256,
  maxStorageBuffersPerShaderStage: 8,
};
const adapter = (kind: 'hardware' | 'swiftshader', features: string[] = ['shader-f16']) =>
  ({
    kind: 'adapter',
    adapter: { kind, vendor: 'nvidia', architecture: 'ampere', device: '', description: '', features, limits },
  }) as const;
const need = { memoryBytes: 9e9, largestBufferBytes: 1e8, allowSoftware: false };
const linux = readBrowser(UBUNTU_CHROME);

describe('readBrowser', () => {
  it.each([
    [UBUNTU_CHROME, 'chrome', 'linux'],
    [MAC_SAFARI, 'safari', 'macos'],
    [EDGE, 'edge', 'windows'],
  ])('%s', (agent, family, os) => expect(readBrowser(agent)).toEqual({ family, os }));
  it('names the flags that Linux needs for an NVIDIA GPU', () => {
    expect(enableWebGpuSteps(linux)).toMatch(/chrome:\/\/flags.*Vulkan.*Unsafe WebGPU/);
    expect(enableWebGpuSteps(readBrowser(EDGE))).not.toContain('Vulkan');
  });
});

describe('judgeGpu', () => {
  it('accepts a hardware adapter', () => {
    expect(judgeGpu(adapter('hardware'), need, linux)).toMatchObject({ state: 'ok', name: 'nvidia ampere' });
  });
  it('refuses software adapters unless the model allows them', () => {
    const refused = judgeGpu(adapter('swiftshader'), need, linux);
    expect(refused.state).toBe('impossible');
    expect(refused).toMatchObject({ action: expect.stringContaining('chrome://flags') });
    expect(judgeGpu(adapter('swiftshader'), { ...need, allowSoftware: true }, linux).state).toBe('degraded');
  });
  it('refuses a matrix that cannot be bound', () => {
    expect(judgeGpu(adapter('hardware'), { ...need, largestBufferBytes: 2 ** 27 + 1 }, linux).state).toBe('impossible');
    expect(judgeGpu(adapter('hardware'), { ...need, largestBufferBytes: 2 ** 27 }, linux).state).toBe('ok');
  });
  it.each(['insecure', 'no-webgpu', 'no-adapter'] as const)('%s is impossible, with something to do', (kind) => {
    const verdict = judgeGpu({ kind }, need, linux);
    expect(verdict.state).toBe('impossible');
    expect('action' in verdict && verdict.action.length > 20).toBe(true);
  });
});
