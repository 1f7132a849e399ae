import { type BufferView, createArena } from '../src/gpu/buffers.ts';
import type { AdapterKind, Gpu } from '../src/gpu/device.ts';
import { createProgramBuilder, type ProgramBuilder } from '../src/gpu/program.ts';
import { testGpu } from './gpu.ts';

type Values = Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>;

/** The two families of variants that kernels choose from; a test runs both on whatever adapter it has. */
export const ADAPTER_KINDS = ['llvmpipe', 'hardware'] as const satisfies readonly AdapterKind[];

/**
 * Uploads `buffers`, records a program over them, runs it once on a real WebGPU device and returns what every buffer holds
 * afterwards. `kind` makes ops choose their variants as they would on that kind of adapter. `device` is by default testGpu's.
 */
export async function runOp<B extends Record<string, Values>>(
  buffers: B,
  record: (b: ProgramBuilder, views: { readonly [name in keyof B]: BufferView }) => void,
  kind?: AdapterKind,
  device: Promise<Gpu> = testGpu(),
): Promise<B> {
  const opened = await device;
  const gpu = kind ? { ...opened, adapter: { ...opened.adapter, kind } } : opened;
  const arena = createArena(gpu.device);
  const names = Object.keys(buffers) as (keyof B & string)[];
  const views = Object.fromEntries(names.map((name) => [name, arena.upload(name, buffers[name] as Values)]));
  const builder = createProgramBuilder(gpu);
  record(builder, views as { [name in keyof B]: BufferView });
  const program = await builder.finish('test');
  program.run();
  const results: [string, Values][] = [];
  for (const name of names) {
    const values = buffers[name] as Values;
    const read = values instanceof Float32Array ? gpu.readF32 : gpu.readU32;
    results.push([name, await read(views[name] as BufferView, values.length)]);
  }
  program.destroy();
  arena.destroy();
  return Object.fromEntries(results) as B;
}
