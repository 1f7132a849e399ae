import type { BufferView } from './buffers.ts';
import type { Gpu } from './device.ts';
import { GpuError } from './error.ts';
import type { Grid } from './grid.ts';
import { type Kernel, type Overrides, packParams, type ScalarType } from './kernel.ts';
import { type CountedBuffer, createCounted } from './memory.ts';
import type { Work } from './pace.ts';
import { type KernelTime, type ProfileOptions, profileCommands } from './profile.ts';
import { type Clear, type Copy, createSubmitter, type Ready } from './submits.ts';
import { reportRun } from './watch.ts';

export { type Grid, gridFor } from './grid.ts';

/** What a dispatch has to do, where the buffers that it is given do not tell. */
export interface DispatchWork {
  /** Multiplications and additions, two for a fused pair. Without it, the bytes of the dispatch's buffers are counted. */
  readonly flops: number;
}

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
    work?: DispatchWork,
  ): void;
  copy(from: BufferView, to: BufferView, bytes: number): void;
  clear(view: BufferView): void;
  /** Compiles every pipeline and makes every bind group. */
  finish(label: string): Promise<Program>;
}

export interface Program {
  readonly label: string;
  readonly dispatches: number;
  /** Submits that the next run is cut into at the pace measured so far. */
  readonly submits: number;
  /** What a run has to do, copies and clears included. */
  readonly work: Work;
  /** Submits the whole program; does not wait for it. */
  run(): void;
  /** Time of every kernel of the program, longest first; see `profileCommands`. Leaves its buffers in disorder. */
  profile(options?: ProfileOptions): Promise<readonly KernelTime[]>;
  destroy(): void;
}

interface Dispatch {
  readonly kind: 'dispatch';
  readonly kernel: Kernel;
  readonly overrides: Overrides;
  readonly views: readonly BufferView[];
  readonly params: ArrayBuffer;
  readonly grid: Grid;
  readonly work: Work;
}
type Command = Dispatch | Copy | Clear;

export function createProgramBuilder(gpu: Gpu): ProgramBuilder {
  const commands: Command[] = [];
  return {
    gpu,
    dispatch(kernel, buffers, params, grid, overrides = {}, work) {
      const plain = kernel as unknown as Kernel;
      const views = Object.keys(plain.buffers).map((name) => {
        const view = (buffers as Record<string, BufferView | undefined>)[name];
        if (!view) throw new GpuError('validation', `kernel ${kernel.name}: buffer ${name} is missing`);
        return view;
      });
      if (grid.some((n) => n < 1 || n > 65535 || !Number.isInteger(n))) {
        throw new GpuError('validation', `kernel ${kernel.name}: grid ${grid.join('×')} is outside 1…65535`);
      }
      const bytes = work ? 0 : views.reduce((sum, view) => sum + view.size, 0);
      commands.push({
        kind: 'dispatch',
        kernel: plain,
        overrides,
        views,
        params: packParams(plain, params),
        grid,
        work: { flops: work?.flops ?? 0, bytes, commands: 1 },
      });
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
  await Promise.all(dispatches.map(({ kernel, overrides }) => gpu.pipeline(kernel, overrides))); // compile side by side
  const uniforms = uploadUniforms(gpu.device, dispatches, label);
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
    const uniform = { buffer: uniforms.buffer, offset: index * UNIFORM_STRIDE, size: command.params.byteLength };
    const group = gpu.device.createBindGroup({
      label: command.kernel.name,
      layout: pipeline.getBindGroupLayout(0),
      entries: [{ binding: 0, resource: uniform }, ...entries],
    });
    const { grid, work } = command;
    ready.push({ kind: 'dispatch', name: command.kernel.name, pipeline, group, grid, work });
    index += 1;
  }
  const submitter = createSubmitter(gpu.device, gpu.pace, ready, () => performance.now());
  const program: Program = {
    label,
    dispatches: dispatches.length,
    work: submitter.work,
    get submits() {
      return submitter.submits;
    },
    run() {
      gpu.check();
      submitter.run();
      reportRun(gpu.device, program);
    },
    profile: (options) => profileCommands(gpu, ready, options),
    destroy: () => uniforms.release(),
  };
  return program;
}

const UNIFORM_STRIDE = 256;

function uploadUniforms(device: GPUDevice, dispatches: readonly Dispatch[], label: string): CountedBuffer {
  const size = Math.max(1, dispatches.length) * UNIFORM_STRIDE;
  const bytes = new Uint8Array(size);
  dispatches.forEach((dispatch, i) => {
    bytes.set(new Uint8Array(dispatch.params), i * UNIFORM_STRIDE);
  });
  const counted = createCounted(device, { label: `${label} uniforms`, size, usage: 0x40 | 0x8 }); // UNIFORM | COPY_DST
  device.queue.writeBuffer(counted.buffer, 0, bytes);
  return counted;
}
