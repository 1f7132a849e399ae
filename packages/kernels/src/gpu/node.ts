import { existsSync } from 'node:fs';
import { type Gpu, type OpenGpuOptions, openGpu } from './device.ts';
import { GpuError } from './error.ts';

const SOFTWARE_DRIVERS = [
  '/usr/share/vulkan/icd.d/lvp_icd.json',
  '/usr/share/vulkan/icd.d/lvp_icd.x86_64.json',
  '/usr/share/vulkan/icd.d/lvp_icd.aarch64.json',
  '/usr/lib/chromium/vk_swiftshader_icd.json',
];

// Dawn crashes the process when its GPU object is collected while devices live, so it stays reachable for good.
const kept = globalThis as typeof globalThis & { cotuneDawn?: GPU };

/** The WebGPU entry point of this Node process (Dawn). Throws GpuError 'no-webgpu' when the binary cannot be loaded. */
export async function nodeGpu(): Promise<GPU> {
  if (kept.cotuneDawn) return kept.cotuneDawn;
  try {
    const { create, globals } = await import('webgpu');
    Object.assign(globalThis, globals);
    kept.cotuneDawn = create([]);
    return kept.cotuneDawn;
  } catch (error) {
    throw new GpuError('no-webgpu', `the Dawn binary of the package "webgpu" could not be loaded: ${String(error)}`);
  }
}

/**
 * Opens this machine's GPU from Node. With `allowSoftware` and no Vulkan driver chosen by the environment, a machine
 * without a hardware adapter falls back to llvmpipe, else SwiftShader (the Vulkan loader reads VK_ICD_FILENAMES).
 */
export async function openNodeGpu(options: OpenGpuOptions = {}): Promise<Gpu> {
  const gpu = await nodeGpu();
  const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
  if (!adapter && options.allowSoftware && !process.env.VK_ICD_FILENAMES) {
    const driver = SOFTWARE_DRIVERS.find((path) => existsSync(path));
    if (driver) process.env.VK_ICD_FILENAMES = driver;
  }
  try {
    return await openGpu(gpu, options);
  } catch (error) {
    if (error instanceof GpuError && error.code === 'no-adapter') {
      throw new GpuError(
        'no-adapter',
        'no WebGPU adapter: install a Vulkan driver for this GPU, or a software one ' +
          '(Debian: apt-get install mesa-vulkan-drivers ≥ 25 from bookworm-backports, or chromium for its SwiftShader)',
      );
    }
    throw error;
  }
}
