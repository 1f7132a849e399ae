import { existsSync } from 'node:fs';
import { afterAll } from 'vitest';
import { type Gpu, openGpu } from '../src/gpu/device.ts';
import { openNodeGpu } from '../src/gpu/node.ts';
import { restWhileWaiting } from '../src/gpu/rest.ts';

let opened: Promise<Gpu> | undefined;

/** The WebGPU device of this test file: real hardware where there is some, else llvmpipe or SwiftShader; never a mock. */
export function testGpu(): Promise<Gpu> {
  opened ??= openNodeGpu({ allowSoftware: true });
  return opened;
}

const SWIFTSHADER = '/usr/lib/chromium/vk_swiftshader_icd.json';
// Dawn crashes when its entry point is collected while a device of it lives.
const entryPoints: GPU[] = [];
let quick: Promise<Gpu> | undefined;

/**
 * The device for kernels that unroll tiles for hardware: where `testGpu` is llvmpipe, whose compiler takes minutes over them,
 * SwiftShader, if Chromium's is installed.
 */
export function quicklyCompilingGpu(): Promise<Gpu> {
  quick ??= testGpu().then(async (gpu) => {
    if (gpu.adapter.kind !== 'llvmpipe' || !existsSync(SWIFTSHADER)) return gpu;
    const driver = process.env.VK_ICD_FILENAMES;
    process.env.VK_ICD_FILENAMES = SWIFTSHADER; // the loader reads it when an entry point is made
    const { create } = await import('webgpu');
    const entryPoint = create([]);
    entryPoints.push(entryPoint);
    const swiftShader = await openGpu(entryPoint, { allowSoftware: true, wait: restWhileWaiting });
    process.env.VK_ICD_FILENAMES = driver;
    return swiftShader;
  });
  return quick;
}

afterAll(async () => {
  for (const gpu of await Promise.allSettled([opened, quick])) if (gpu.status === 'fulfilled') gpu.value?.destroy();
  opened = quick = undefined;
});
