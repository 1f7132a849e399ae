import { GpuError } from './error.ts';

export type ScalarType = 'u32' | 'i32' | 'f32';

/** How a compute entry point is called; the WGSL beside it must declare the same things in the same order. */
export interface KernelSpec<
  Params extends Record<string, ScalarType> = Record<string, ScalarType>,
  Buffers extends Record<string, 'read' | 'write'> = Record<string, 'read' | 'write'>,
> {
  readonly name: string;
  readonly wgsl: string;
  /** Entry point; by default the kernel's name. */
  readonly entry?: string;
  /** Members of `struct Params` at @binding(0) (uniform), 4 bytes each, in order. At least one. */
  readonly params: Params;
  /** Storage buffers at @binding(1…), in order: 'read' = var<storage, read>, 'write' = var<storage, read_write>. */
  readonly buffers: Buffers;
  readonly features?: readonly GPUFeatureName[];
}

export type Kernel<
  Params extends Record<string, ScalarType> = Record<string, ScalarType>,
  Buffers extends Record<string, 'read' | 'write'> = Record<string, 'read' | 'write'>,
> = Required<KernelSpec<Params, Buffers>>;

export function defineKernel<
  const Params extends Record<string, ScalarType>,
  const Buffers extends Record<string, 'read' | 'write'>,
>(spec: KernelSpec<Params, Buffers>): Kernel<Params, Buffers> {
  return { entry: spec.name, features: [], ...spec };
}

/** Values of WGSL `override` constants. */
export type Overrides = Readonly<Record<string, number>>;

/** Compiles a kernel; throws GpuError 'shader' with the kernel's name, line and source when WGSL does not accept it. */
export async function compileKernel(
  device: GPUDevice,
  kernel: Kernel,
  overrides: Overrides = {},
): Promise<GPUComputePipeline> {
  for (const feature of kernel.features) {
    if (!device.features.has(feature)) {
      throw new GpuError('limit', `kernel ${kernel.name} needs the WebGPU feature ${feature}, which this device lacks`);
    }
  }
  device.pushErrorScope('validation'); // a compile error belongs to the caller, not to the device's uncaptured errors
  const module = device.createShaderModule({ label: kernel.name, code: kernel.wgsl });
  const scope = device.popErrorScope();
  const info = await module.getCompilationInfo();
  await scope;
  const first = info.messages.find((message) => message.type === 'error');
  if (first) {
    const line = kernel.wgsl.split('\n')[first.lineNum - 1] ?? '';
    throw new GpuError(
      'shader',
      `kernel ${kernel.name}, line ${first.lineNum}:${first.linePos}: ${first.message}\n    ${line.trim()}`,
    );
  }
  const types: GPUBufferBindingType[] = [
    'uniform',
    ...Object.values(kernel.buffers).map(
      (access): GPUBufferBindingType => (access === 'read' ? 'read-only-storage' : 'storage'),
    ),
  ];
  const layout = device.createBindGroupLayout({
    label: kernel.name,
    entries: types.map((type, binding) => ({ binding, visibility: 0x4, buffer: { type } })), // GPUShaderStage.COMPUTE
  });
  try {
    return await device.createComputePipelineAsync({
      label: kernel.name,
      layout: device.createPipelineLayout({ label: kernel.name, bindGroupLayouts: [layout] }),
      compute: { module, entryPoint: kernel.entry, constants: { ...overrides } },
    });
  } catch (error) {
    throw new GpuError('shader', `kernel ${kernel.name} with ${JSON.stringify(overrides)}: ${String(error)}`);
  }
}

/** Packs uniform values in the kernel's declared order into 4-byte scalars, padded to 16 bytes as uniforms demand. */
export function packParams(kernel: Kernel, values: Readonly<Record<string, number>>): ArrayBuffer {
  const names = Object.keys(kernel.params);
  const bytes = new ArrayBuffer(Math.ceil(names.length / 4) * 16);
  const view = new DataView(bytes);
  names.forEach((name, i) => {
    const value = values[name];
    if (value === undefined) throw new GpuError('validation', `kernel ${kernel.name}: parameter ${name} is missing`);
    const type = kernel.params[name];
    if (type === 'f32') view.setFloat32(i * 4, value, true);
    else if (type === 'i32') view.setInt32(i * 4, value, true);
    else view.setUint32(i * 4, value, true);
  });
  return bytes;
}
