import type { BufferView } from './buffers.ts';
import type { Gpu } from './device.ts';
import { GpuError } from './error.ts';
import { type Kernel, type Overrides, packParams, type ScalarType } from './kernel.ts';

export type Grid = readonly [x: number, y: number, z: number];

/** Records dispatches once; the finished program replays them with nothing allocated. */
export interface ProgramBuilder {
  readonly gpu: Gpu;
  /** One dispatch of `kernel` over `grid` workgroups. */
  dispatch<P extends Record<string, ScalarType>, B extends Record<string, 'read' | 'write'>>(
    kernel: Kernel<P, B>,
    buffers: { readonly [name in keyof B]: BufferView },
    params: { readonly [name in keyof P]: number },
    grid: Grid,
    overrides?: Overrides,
  ): void;
  copy(from: BufferView, to: BufferView, bytes: number): void;
  clear(view: BufferView): void;
  /** Compiles every pipeline and makes every bind group. */
  finish(label: string): Promise<Program>;
}

export interface Program {
  readonly label: string;
  readonly dispatches: number;
  /** Submits the whole program; does not wait for it. */
  run(): void;
  destroy(): void;
}

/** Workgroups for `count` items of `perGroup`, folded into y where x would pass WebGPU's 65535. */
export function gridFor(count: number, perGroup: number): Grid {
  const groups = Math.max(1, Math.ceil(count / perGroup));
  if (groups <= 65535) return [groups, 1, 1];
  const y = Math.ceil(groups / 65535);
  return [Math.ceil(groups / y), y, 1];
}

interface Dispatch {
  readonly kind: 'dispatch';
  readonly kernel: Kernel;
  readonly overrides: Overrides;
  readonly views: readonly BufferView[];
  readonly params: ArrayBuffer;
  readonly grid: Grid;
}
interface Copy {
  readonly kind: 'copy';
  readonly from: BufferView;
  readonly to: BufferView;
  readonly bytes: number;
}
interface Clear {
  readonly kind: 'clear';
  readonly view: BufferView;
}
type Command = Dispatch | Copy | Clear;
type Ready =
  | {
      readonly kind: 'dispatch';
      readonly pipeline: GPUComputePipeline;
      readonly group: GPUBindGroup;
      readonly grid: Grid;
    }
  | Copy
  | Clear;

/** One submit never holds more dispatches than this, so that a slow adapter stays responsive. */
const DISPATCHES_PER_SUBMIT = 64;

export function createProgramBuilder(gpu: Gpu): ProgramBuilder {
  const commands: Command[] = [];
  return {
    gpu,
    dispatch(kernel, buffers, params, grid, overrides = {}) {
      const plain = kernel as unknown as Kernel;
      const views = Object.keys(plain.buffers).map((name) => {
        const view = (buffers as Record<string, BufferView | undefined>)[name];
        if (!view) throw new GpuError('validation', `kernel ${kernel.name}: buffer ${name} is missing`);
        return view;
      });
      if (grid.some((n) => n < 1 || n > 65535 || !Number.isInteger(n))) {
        throw new GpuError('validation', `kernel ${kernel.name}: grid ${grid.join('×')} is outside 1…65535`);
      }
      commands.push({ kind: 'dispatch', kernel: plain, overrides, views, params: packParams(plain, params), grid });
    },
    copy(from, to, bytes) {
      commands.push({ kind: 'copy', from, to, bytes });
    },
    clear(view) {
      commands.push({ kind: 'clear', view });
    },
    finish: (label) => finishProgram(gpu, commands, label),
  };
}

async function finishProgram(gpu: Gpu, commands: readonly Command[], label: string): Promise<Program> {
  const dispatches = commands.filter((command) => command.kind === 'dispatch');
  const uniforms = uploadUniforms(gpu.device, dispatches, label);
  await Promise.all(dispatches.map(({ kernel, overrides }) => gpu.pipeline(kernel, overrides))); // compile side by side
  const ready: Ready[] = [];
  let index = 0;
  for (const command of commands) {
    if (command.kind !== 'dispatch') {
      ready.push(command);
      continue;
    }
    const pipeline = await gpu.pipeline(command.kernel, command.overrides);
    const entries = command.views.map((view, i) => ({
      binding: i + 1,
      resource: { buffer: view.buffer, offset: view.offset, size: view.size },
    }));
    const uniform = { buffer: uniforms, offset: index * UNIFORM_STRIDE, size: command.params.byteLength };
    const group = gpu.device.createBindGroup({
      label: command.kernel.name,
      layout: pipeline.getBindGroupLayout(0),
      entries: [{ binding: 0, resource: uniform }, ...entries],
    });
    ready.push({ kind: 'dispatch', pipeline, group, grid: command.grid });
    index += 1;
  }
  return {
    label,
    dispatches: dispatches.length,
    run() {
      gpu.check();
      submit(gpu.device, ready);
    },
    destroy: () => uniforms.destroy(),
  };
}

const UNIFORM_STRIDE = 256;

function uploadUniforms(device: GPUDevice, dispatches: readonly Dispatch[], label: string): GPUBuffer {
  const size = Math.max(1, dispatches.length) * UNIFORM_STRIDE;
  const bytes = new Uint8Array(size);
  dispatches.forEach((dispatch, i) => {
    bytes.set(new Uint8Array(dispatch.params), i * UNIFORM_STRIDE);
  });
  const buffer = device.createBuffer({ label: `${label} uniforms`, size, usage: 0x40 | 0x8 }); // UNIFORM | COPY_DST
  device.queue.writeBuffer(buffer, 0, bytes);
  return buffer;
}

function submit(device: GPUDevice, commands: readonly Ready[]): void {
  let encoder = device.createCommandEncoder();
  let pass: GPUComputePassEncoder | undefined;
  let count = 0;
  const endPass = () => {
    pass?.end();
    pass = undefined;
  };
  for (const command of commands) {
    if (command.kind === 'copy') {
      endPass();
      encoder.copyBufferToBuffer(
        command.from.buffer,
        command.from.offset,
        command.to.buffer,
        command.to.offset,
        command.bytes,
      );
    } else if (command.kind === 'clear') {
      endPass();
      encoder.clearBuffer(command.view.buffer, command.view.offset, command.view.size);
    } else {
      pass ??= encoder.beginComputePass();
      pass.setPipeline(command.pipeline);
      pass.setBindGroup(0, command.group);
      pass.dispatchWorkgroups(...command.grid);
      count += 1;
      if (count % DISPATCHES_PER_SUBMIT === 0) {
        endPass();
        device.queue.submit([encoder.finish()]);
        encoder = device.createCommandEncoder();
      }
    }
  }
  endPass();
  device.queue.submit([encoder.finish()]);
}
