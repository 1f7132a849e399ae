import { afterAll } from 'vitest';
import type { Gpu } from '../src/gpu/device.ts';
import { openNodeGpu } from '../src/gpu/node.ts';

let opened: Promise<Gpu> | undefined;

/** The WebGPU device of this test file: real hardware where there is some, else llvmpipe or SwiftShader; never a mock. */
export function testGpu(): Promise<Gpu> {
  opened ??= openNodeGpu({ allowSoftware: true });
  return opened;
}

afterAll(async () => {
  const gpu = await opened?.catch(() => undefined);
  gpu?.destroy();
  opened = undefined;
});
