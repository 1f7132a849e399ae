import { existsSync } from 'node:fs';
import { type Gpu, type OpenGpuOptions, openGpu } from './device.ts';
import { GpuError } from './error.ts';
import { restWhileWaiting } from './rest.ts';

export { directorySink, directorySource, fileTuningStore } from './node-files.ts';

const SOFTWARE_DRIVERS = [
  '/usr/share/vulkan/icd.d/lvp_icd.json',
  '/usr/share/vulkan/icd.d/lvp_icd.x86_64.json',
  '/usr/share/vulkan/icd.d/lvp_icd.aarch64.json',
  '/usr/lib/chromium/vk_swiftshader_icd.json',
];

// Dawn crashes the process when a GPU object is collected while its devices live, so they stay reachable for good.
const kept = globalThis as typeof globalThis & { cotuneDawn?: GPU[] };

/** A new WebGPU entry point (Dawn). Throws GpuError 'no-webgpu' when the binary cannot be loaded. */
async function createDawn(): Promise<GPU> {
  try {
    const { create, globals } = await import('webgpu');
    Object.assign(globalThis, globals);
    // For experimental features (subgroup matrices): every shader that runs here is the engine's own.
    const gpu = create(['enable-dawn-features=allow_unsafe_apis']);
    kept.cotuneDawn = [...(kept.cotuneDawn ?? []), gpu];
    return gpu;
  } catch (error) {
    throw new GpuError('no-webgpu', `the Dawn binary of the package "webgpu" could not be loaded: ${String(error)}`);
  }
}

/**
 * The WebGPU entry point of this Node process. With `allowSoftware`, a machine without any adapter is given the first
 * software Vulkan driver that works (llvmpipe, else SwiftShader) through VK_ICD_FILENAMES, which the Vulkan loader reads at Dawn's creation.
 */
export async function nodeGpu(options: OpenGpuOptions = {}): Promise<GPU> {
  const current = kept.cotuneDawn?.at(-1);
  if (current) return current;
  let gpu = await createDawn();
  if (!options.allowSoftware || process.env.VK_ICD_FILENAMES) return gpu;
  // A driver that is there may still be refused (Dawn takes no llvmpipe before Mesa 25), so each is tried.
  for (const driver of SOFTWARE_DRIVERS.filter((path) => existsSync(path))) {
    if (await gpu.requestAdapter({ powerPreference: 'high-performance' })) return gpu;
    process.env.VK_ICD_FILENAMES = driver;
    gpu = await createDawn();
  }
  return gpu;
}

/** Opens this machine's GPU from Node; software adapters only with `allowSoftware`. Throws GpuError with what to install. */
export async function openNodeGpu(options: OpenGpuOptions = {}): Promise<Gpu> {
  try {
    return await openGpu(await nodeGpu(options), { wait: restWhileWaiting, ...options });
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
