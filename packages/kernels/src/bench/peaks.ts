// What the adapter can do at most, measured: arithmetic from registers to registers in several widths, and a copy larger
// than any cache. Kernels are then stated as shares of these, which says more than the maker's figures.
import { type Arena, type BufferView, createArena } from '../gpu/buffers.ts';
import type { Gpu } from '../gpu/device.ts';
import { GpuError } from '../gpu/error.ts';
import { defineKernel, type Kernel } from '../gpu/kernel.ts';
import { createProgramBuilder, gridFor, type Program } from '../gpu/program.ts';
import { specialise } from '../ops/matmul_unroll.ts';
import { type BenchClock, type Elapsed, median } from './clock.ts';
import { measureInterleaved, prepareTimed, type Timed } from './measure.ts';
import copyWgsl from './peak_copy.wgsl?raw';
import dotWgsl from './peak_dot4.wgsl?raw';
import fmaWgsl from './peak_fma.wgsl?raw';

export const PEAKS = ['f32_gflops', 'f16_gflops', 'dot4i8_gops', 'bandwidth_gbs'] as const;
export type PeakName = (typeof PEAKS)[number];

/** The fastest variant found for one peak, ready to be timed beside the kernels. */
export interface Peak {
  readonly name: PeakName;
  /** What won, e.g. "8 chains of vec4, fma". */
  readonly variant: string;
  /** 10⁹ operations (bytes for the bandwidth) of one run. */
  readonly billions: number;
  readonly timed: Timed;
}

interface Variant {
  readonly variant: string;
  readonly program: Program;
  readonly billions: number;
  /** Throws when the results are not what the arithmetic gives: then it was not done, or not all of it. */
  check(): Promise<void>;
}

const RESULTS = 65536;
const TARGET_MS = { hardware: 40, llvmpipe: 20, swiftshader: 20 } as const;

/** Finds the fastest variant of every peak that this adapter has. The arena holds their buffers. */
export async function findPeaks(
  gpu: Gpu,
  arena: Arena,
  clock: BenchClock,
  names: readonly PeakName[] = PEAKS,
): Promise<readonly Peak[]> {
  const results = arena.alloc('peak results', RESULTS);
  const f16 = gpu.device.features.has('shader-f16');
  const found: Peak[] = [];
  for (const name of names) {
    if (name === 'f16_gflops' && !f16) continue;
    const variants =
      name === 'dot4i8_gops'
        ? await dotVariants(gpu, results)
        : name === 'bandwidth_gbs'
          ? await copyVariants(gpu, arena)
          : await fmaVariants(gpu, results, name === 'f16_gflops');
    found.push(await fastest(gpu, name, variants, clock));
  }
  return found;
}

async function fastest(gpu: Gpu, name: PeakName, variants: readonly Variant[], clock: BenchClock): Promise<Peak> {
  const timed: Timed[] = [];
  for (const { program, check } of variants) {
    timed.push(await prepareTimed(gpu, program, clock, TARGET_MS[gpu.adapter.kind]));
    await check();
  }
  const measured = await measureInterleaved(gpu, timed, clock, 3);
  const rates = variants.map(({ billions }, i) => {
    const times = (measured[i] ?? []).map(({ wallMs, processorMs }) => processorMs ?? wallMs);
    return billions / median(times);
  });
  const best = rates.indexOf(Math.max(...rates));
  const [variant, winner] = [variants[best], timed[best]];
  if (!variant || !winner) throw new GpuError('validation', `no variant of ${name}`);
  for (const other of variants) if (other !== variant) other.program.destroy();
  return { name, variant: variant.variant, billions: variant.billions, timed: winner };
}

/** Threads of one dispatch: enough for every lane of a large GPU several times over. */
const THREADS = { hardware: 2 ** 20, llvmpipe: 2 ** 12, swiftshader: 2 ** 10 } as const;

/** Width of a chain and how many; f16 is counted in fours alone. SwiftShader is fastest with single floats, in as many chains as it has registers. */
const FMA_SHAPES = [
  [4, 4],
  [4, 8],
  [4, 12],
  [1, 8],
  [1, 10],
  [1, 16],
] as const;

async function fmaVariants(gpu: Gpu, results: BufferView, half: boolean): Promise<Variant[]> {
  const scalar = half ? 'f16' : 'f32';
  const types = (width: 1 | 4) =>
    `${half ? 'enable f16;\n' : ''}alias Scalar = ${scalar};\nalias Value = ${width === 1 ? scalar : `vec4<${scalar}>`};\n`;
  const STEPS = 4;
  const turns = 256; // 1024 additions of 1: exact in f16 too
  const variants: Variant[] = [];
  for (const FUSED of [0, 1]) {
    for (const [width, CHAINS] of FMA_SHAPES.filter(([own]) => own === 4 || !half)) {
      const kernel = defineKernel({
        name: 'peak_fma',
        wgsl: types(width) + specialise(fmaWgsl, { CHAINS, STEPS, FUSED, RESULTS }),
        params: { turns: 'u32', factor: 'f32', addend: 'f32' },
        buffers: { results: 'write' },
        ...(half ? { features: ['shader-f16'] as const } : {}),
      });
      const threads = THREADS[gpu.adapter.kind];
      const flops = threads * CHAINS * width * STEPS * turns * 2;
      variants.push({
        variant: `${CHAINS} chains of ${width === 1 ? scalar : 'vec4'}, ${FUSED ? 'fma' : 'multiply, add'}`,
        program: await single(gpu, kernel, { results }, { turns, factor: 1, addend: 1 }, threads, flops),
        billions: flops / 1e9,
        async check() {
          const seen = await gpu.readF32(results, 2);
          for (const lane of [0, 1]) {
            // A chain of one float counts four times, spread over the four lanes that are added up at the end.
            const expected = 4 * (CHAINS * (STEPS * turns + lane) + (CHAINS * (CHAINS - 1)) / 2);
            verify(`peak_fma with ${CHAINS} chains`, seen[lane], expected);
          }
        },
      });
    }
  }
  return variants;
}

async function dotVariants(gpu: Gpu, results: BufferView): Promise<Variant[]> {
  const turns = 256;
  const [x, y] = [0x1f2e3d4c, 0x05e617f8];
  const variants: Variant[] = [];
  for (const [ROWS, COLUMNS] of [
    [2, 4],
    [4, 4],
    [4, 8],
    [8, 8],
  ] as const) {
    const kernel = defineKernel({
      name: 'peak_dot4',
      wgsl: specialise(dotWgsl, { ROWS, COLUMNS, RESULTS }),
      params: { turns: 'u32', x: 'u32', y: 'u32' },
      buffers: { results: 'write' },
    });
    const threads = THREADS[gpu.adapter.kind];
    const ops = threads * ROWS * COLUMNS * turns * 8; // four products and four additions each
    variants.push({
      variant: `tile of ${ROWS}×${COLUMNS}`,
      program: await single(gpu, kernel, { results }, { turns, x, y }, threads, ops),
      billions: ops / 1e9,
      async check() {
        const seen = new Int32Array((await gpu.readU32(results, 2)).buffer);
        for (const lane of [0, 1]) {
          verify(`peak_dot4 of ${ROWS}×${COLUMNS}`, seen[lane], dotResult(x, y, turns, ROWS, COLUMNS, lane));
        }
      },
    });
  }
  return variants;
}

/** What peak_dot4.wgsl computes, in integers of 32 bits. */
export function dotResult(x0: number, y0: number, turns: number, rows: number, columns: number, lane: number): number {
  const signed = (word: number, byte: number): number => (((word >>> (8 * byte)) & 255) << 24) >> 24;
  const dot = (a: number, b: number): number =>
    [0, 1, 2, 3].reduce((sum, byte) => sum + signed(a, byte) * signed(b, byte), 0);
  let total = 0;
  for (let i = 0; i < rows; i++) {
    let x = (x0 + Math.imul(i, 0x01030507) + lane) | 0;
    for (let turn = 0; turn < turns; turn++) {
      x = (x + 0x01010101) | 0;
      for (let j = 0; j < columns; j++) {
        const y = (y0 + Math.imul(j, 0x02040608)) | 0;
        total = (total + Math.imul(dot(x, y), i * columns + j + 1)) | 0;
      }
    }
  }
  return total;
}

/** Larger than the caches of any GPU so far (software: of two cores), where one binding may be. */
const COPY_BYTES = { hardware: 2 ** 29, llvmpipe: 2 ** 25, swiftshader: 2 ** 25 } as const;

async function copyVariants(gpu: Gpu, arena: Arena): Promise<Variant[]> {
  const { maxBufferSize, maxStorageBufferBindingSize } = gpu.device.limits;
  const bytes = Math.min(
    COPY_BYTES[gpu.adapter.kind],
    2 ** Math.floor(Math.log2(Math.min(maxBufferSize, maxStorageBufferBindingSize))),
  );
  const [x, y] = [arena.alloc('peak copy from', bytes / 4), arena.alloc('peak copy to', bytes / 4)];
  const pattern = Float32Array.from({ length: 2 ** 18 }, (_, i) => i);
  for (let at = 0; at < bytes; at += pattern.byteLength) gpu.device.queue.writeBuffer(x.buffer, at, pattern);
  const variants: Variant[] = [];
  for (const [lanes, type, EACH, IN_PLACE] of [
    [1, 'f32', 1, 0],
    [4, 'vec4f', 1, 0],
    [4, 'vec4f', 4, 0],
    [1, 'f32', 4, 1],
    [4, 'vec4f', 1, 1],
    [4, 'vec4f', 4, 1],
  ] as const) {
    const kernel = defineKernel({
      name: 'peak_copy',
      wgsl: `alias Value = ${type};\n${specialise(copyWgsl, { EACH, IN_PLACE })}`,
      params: { values: 'u32', addend: 'f32' },
      buffers: { x: 'read', y: 'write' },
    });
    const values = bytes / 4 / lanes;
    const program = await single(gpu, kernel, { x, y }, { values, addend: 3 }, values / EACH, undefined);
    variants.push({
      variant: `${bytes / 2 ** 20} MiB, ${EACH} ${type} a thread${IN_PLACE ? ', in place' : ''}`,
      program,
      billions: (2 * bytes) / 1e9,
      async check() {
        for (const at of [0, 12_345, bytes / 4 - 4])
          gpu.device.queue.writeBuffer(y.buffer, at * 4, new Float32Array(1));
        program.run();
        for (const at of [0, 12_345, bytes / 4 - 4]) {
          const [seen] = await gpu.readF32({ buffer: y.buffer, offset: at * 4 }, 1);
          verify(`peak_copy at ${at}`, seen, (IN_PLACE ? 0 : at % pattern.length) + 3);
        }
      },
    });
  }
  return variants;
}

async function single(
  gpu: Gpu,
  kernel: Kernel,
  buffers: Readonly<Record<string, BufferView>>,
  params: Readonly<Record<string, number>>,
  threads: number,
  flops: number | undefined,
): Promise<Program> {
  const b = createProgramBuilder(gpu);
  b.dispatch(kernel, buffers, params, gridFor(threads, 64), {}, flops === undefined ? undefined : { flops });
  return b.finish(kernel.name);
}

function verify(what: string, seen: number | undefined, expected: number): void {
  if (seen === expected) return;
  throw new GpuError('validation', `${what}: got ${seen}, expected ${expected}: this adapter computes wrong numbers`);
}

export interface PeakMeter {
  /** Median of a few measurements of the fastest variant. */
  measure(repeats?: number): Promise<{ readonly billions: number; readonly elapsed: Elapsed }>;
  destroy(): void;
}

/** One peak on its own, to be measured around other work. Throws GpuError 'limit' where the adapter lacks it. */
export async function createPeakMeter(gpu: Gpu, name: PeakName, clock: BenchClock): Promise<PeakMeter> {
  const arena = createArena(gpu.device);
  const [peak] = await findPeaks(gpu, arena, clock, [name]);
  if (!peak) throw new GpuError('limit', `this adapter has no ${name} to measure`);
  return {
    async measure(repeats = 5) {
      const [measured = []] = await measureInterleaved(gpu, [peak.timed], clock, repeats);
      const processor = measured.flatMap(({ processorMs }) => (processorMs === null ? [] : [processorMs]));
      const wallMs = median(measured.map((elapsed) => elapsed.wallMs));
      const processorMs = processor.length > 0 ? median(processor) : null;
      return { billions: peak.billions, elapsed: { wallMs, processorMs } };
    },
    destroy() {
      peak.timed.program.destroy();
      arena.destroy();
    },
  };
}
