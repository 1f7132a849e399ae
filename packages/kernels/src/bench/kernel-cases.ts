import type { Arena, BufferView } from '../gpu/buffers.ts';
import type { Gpu } from '../gpu/device.ts';
import { createProgramBuilder, type ProgramBuilder } from '../gpu/program.ts';
import { adamw } from '../ops/adamw.ts';
import { crossEntropy } from '../ops/cross_entropy.ts';
import { loraBackward, loraForward } from '../ops/lora.ts';
import { matmulBackward, matmulForward } from '../ops/matmul.ts';
import { matmulForwardDp4a } from '../ops/matmul_dp4a.ts';
import { hasF16, matmulBackwardF16, matmulForwardF16 } from '../ops/matmul_f16.ts';
import type { Matrix } from '../ops/matrix.ts';
import { createQuantizedRows, quantizeActivations } from '../ops/quantize_activations.ts';
import { rmsnormBackward, rmsnormForward } from '../ops/rmsnorm.ts';
import { ropeForward } from '../ops/rope.ts';
import { STEP, STEP_ELEMENTS } from '../ops/step_values.ts';
import { swigluBackward, swigluForward } from '../ops/swiglu.ts';
import { attentionCases } from './attention-cases.ts';
import { createNoise, type Noise } from './fill.ts';
import type { Geometry } from './geometry.ts';
import type { PeakName } from './peaks.ts';

/** One kernel at one shape, as `bench kernels` states it. */
export interface KernelCase {
  readonly name: string;
  readonly shape: string;
  /** Multiplications and additions that the result needs; what a kernel computes twice is not counted twice. */
  readonly flops: number;
  /** Least traffic with the memory: every input read once, every output written once. */
  readonly bytes: number;
  /** What bounds it, and so what its rate is a share of. */
  readonly peak: PeakName;
  record(b: ProgramBuilder): void;
}

/** Tensors that the cases share: x and y stand for every activation, w for every weight. */
export interface Tensors {
  readonly noise: Noise;
  /** f32, at least tokens × the widest. */
  readonly x: BufferView;
  readonly y: BufferView;
  readonly gate: BufferView;
  readonly up: BufferView;
}

/** Makes the tensors and every case that this adapter can run at `geometry`. */
export async function kernelCases(gpu: Gpu, arena: Arena, geometry: Geometry): Promise<readonly KernelCase[]> {
  const { batch, seq, hiddenSize, intermediateSize } = geometry;
  const tokens = batch * seq;
  const b = createProgramBuilder(gpu);
  const noise = createNoise(b, arena);
  const activation = (label: string) => noise.floats(label, tokens * Math.max(hiddenSize, intermediateSize));
  const tensors: Tensors = {
    noise,
    x: activation('x'),
    y: activation('y'),
    gate: activation('gate'),
    up: activation('up'),
  };
  const cases = [
    ...matmulCases(gpu, arena, geometry, tensors),
    ...loraCases(geometry, tensors),
    ...attentionCases(gpu, arena, geometry, tensors),
    ...rowCases(arena, geometry, tensors),
  ];
  const program = await b.finish('bench tensors');
  program.run();
  await gpu.idle();
  program.destroy();
  return cases;
}

function matmulCases(gpu: Gpu, arena: Arena, geometry: Geometry, { noise, x, y }: Tensors): KernelCase[] {
  const { hiddenSize: h, intermediateSize: ff } = geometry;
  const rows = geometry.batch * geometry.seq;
  const alloc = (label: string, elements: number): BufferView => arena.alloc(label, elements);
  const planes = { dp4a: createQuantizedRows(alloc, rows, ff, 2), dp4a8: createQuantizedRows(alloc, rows, ff, 1) };
  const exponent = arena.alloc('exponents', rows);
  const cases: KernelCase[] = [];
  const shapes = [
    [h, h],
    [h, ff],
    [ff, h],
  ] as const;
  const f32 = noise.matrix('f32 weights', 'f32', ff, h); // every shape reads a part of it
  for (const [inputs, outputs] of shapes) {
    const int8 = noise.matrix(`int8 weights ${inputs}→${outputs}`, 'int8', outputs, inputs);
    const full: Matrix = { ...f32, rows: outputs, cols: inputs };
    const shape = `${rows}×${inputs}→${outputs}`;
    const flops = 2 * rows * inputs * outputs;
    const weightBytes = (w: Matrix): number => inputs * outputs * (w.dtype === 'int8' ? 1 : 4);
    const add = (name: string, w: Matrix, peak: PeakName, record: (b: ProgramBuilder) => void) =>
      cases.push({ name, shape, flops, bytes: 4 * rows * (inputs + outputs) + weightBytes(w), peak, record });
    const backward = { dy: y, dx: x, rows, accumulate: false };
    add('int8_matmul_forward', int8, 'f32_gflops', (b) => matmulForward(b, { x, w: int8, y, rows }));
    add('int8_matmul_dx', int8, 'f32_gflops', (b) => matmulBackward(b, { ...backward, w: int8 }));
    add('int8_matmul_forward_dp4a', int8, 'dot4i8_gops', (b) =>
      matmulForwardDp4a(b, { x: planes.dp4a, w: int8, y, rows }),
    );
    add('int8_matmul_forward_dp4a8', int8, 'dot4i8_gops', (b) =>
      matmulForwardDp4a(b, { x: planes.dp4a8, w: int8, y, rows }),
    );
    add('f32_matmul_forward', full, 'f32_gflops', (b) => matmulForward(b, { x, w: full, y, rows }));
    add('f32_matmul_dx', full, 'f32_gflops', (b) => matmulBackward(b, { ...backward, w: full }));
    if (hasF16(gpu)) {
      const half = { ...backward, w: int8, exponent };
      add('int8_matmul_forward_f16', int8, 'f16_gflops', (b) => matmulForwardF16(b, { x, w: int8, y, rows }));
      add('int8_matmul_dx_f16', int8, 'f16_gflops', (b) => matmulBackwardF16(b, half));
    }
    if (inputs === h && outputs === h) {
      for (const [precision, quantized] of Object.entries(planes)) {
        cases.push({
          name: `quantize_activations_${precision}`,
          shape: `${rows}×${inputs}`,
          flops: 3 * rows * inputs,
          bytes: rows * inputs * (4 + quantized.planes),
          peak: 'bandwidth_gbs',
          record: (b) => quantizeActivations(b, { x, quantized, rows, inputs }),
        });
      }
    }
  }
  return cases;
}

function loraCases(geometry: Geometry, { noise, x, y, gate }: Tensors): KernelCase[] {
  const { hiddenSize: size, rank } = geometry;
  const rows = geometry.batch * geometry.seq;
  const matrix = (name: string, scale?: number) => ({ view: noise.floats(name, rank * size, scale), offset: 0 });
  const z = noise.floats('z', rows * rank);
  const shared = { x, z, a: matrix('A', 0.01), b: matrix('B', 0.01), rows, inputs: size, outputs: size, rank };
  // A tiny scale: what the kernels add to, run after run, must stay finite.
  const site = { ...shared, scale: 1e-6 };
  const gradients = {
    dy: gate,
    dx: y,
    dz: noise.floats('dz', rows * rank),
    da: matrix('dA'),
    db: matrix('dB'),
  };
  const flops = 2 * rows * rank * 2 * size;
  const shape = `${rows}×${size}→${size}, rank ${rank}`;
  const peak = 'f32_gflops' as const;
  const bytes = 4 * rows * size;
  return [
    { name: 'lora_forward', shape, flops, bytes: 3 * bytes, peak, record: (b) => loraForward(b, { ...site, y }) },
    {
      name: 'lora_backward',
      shape,
      flops: 2 * flops,
      bytes: 4 * bytes,
      peak,
      record: (b) => loraBackward(b, { ...site, ...gradients }),
    },
  ];
}

/** Kernels that touch every value a few times: the memory bounds them. */
function rowCases(arena: Arena, geometry: Geometry, { noise, x, y, gate, up }: Tensors): KernelCase[] {
  const { hiddenSize: dim, intermediateSize: ff, heads, headDim, vocabSize: vocab, rank, batch, seq } = geometry;
  const rows = batch * seq;
  const peak = 'bandwidth_gbs' as const;
  const weight = noise.floats('norm weight', dim);
  const norm = { x, weight, rows, dim, eps: 1e-5 };
  const [wide, narrow] = [rows * ff, rows * dim];
  const [dgate, dup] = [noise.floats('dgate', wide), noise.floats('dup', wide)]; // overwritten by every run
  const positions = arena.upload(
    'positions',
    Uint32Array.from({ length: rows }, (_, i) => i % seq),
  );
  const inverseFrequency = noise.floats('inverse frequencies', headDim / 2);
  const lossRows = Math.min(256, rows); // one chunk of logits
  const logits = noise.floats('logits', lossRows * vocab);
  const labels = arena.upload(
    'labels',
    Uint32Array.from({ length: lossRows }, (_, i) => (i * 7919) % vocab),
  );
  const [loss, correct] = [arena.alloc('loss', lossRows), arena.alloc('correct', lossRows)];
  const values = new Float32Array(STEP_ELEMENTS);
  values[STEP.learningRate] = 1e-5;
  values[STEP.biasCorrection1] = 0.1;
  values[STEP.biasCorrection2] = 0.001;
  values[STEP.inverseLabelTokens] = 1 / lossRows;
  const step = arena.upload('step', values);
  const length = 32 * 2 * rank * 2 * dim; // q and v of 32 layers
  const moments = {
    w: noise.floats('w', length),
    g: noise.floats('g', length),
    m: noise.floats('m', length),
    v: noise.floats('v', length, 0.5, 0.5),
    sumSquares: noise.floats('sum of squares', 1),
  };
  const optimizer = { ...moments, step, length, beta1: 0.9, beta2: 0.999, eps: 1e-8 };
  const tokens = `${rows}×${dim}`;
  return [
    row('rmsnorm_forward', tokens, 4 * narrow, 8 * narrow, (b) => rmsnormForward(b, { ...norm, y })),
    row('rmsnorm_backward', tokens, 10 * narrow, 12 * narrow, (b) =>
      rmsnormBackward(b, { ...norm, dy: gate, dx: y, accumulate: false }),
    ),
    row('swiglu_forward', `${rows}×${ff}`, 5 * wide, 12 * wide, (b) => swigluForward(b, { gate, up, y, length: wide })),
    row('swiglu_backward', `${rows}×${ff}`, 11 * wide, 20 * wide, (b) =>
      swigluBackward(b, { gate: dgate, up: dup, dy: x, length: wide }),
    ),
    row('rope', tokens, 3 * narrow, 8 * narrow, (b) =>
      ropeForward(b, { x: y, positions, inverseFrequency, rows, heads, headDim }),
    ),
    row('cross_entropy', `${lossRows}×${vocab}`, 6 * lossRows * vocab, 8 * lossRows * vocab, (b) =>
      crossEntropy(b, { logits, labels, loss, correct, step, rows: lossRows, vocab, backward: true }),
    ),
    row('adamw', `${length}`, 16 * length, 28 * length, (b) => adamw(b, optimizer)),
  ];
  function row(name: string, shape: string, flops: number, bytes: number, record: KernelCase['record']): KernelCase {
    return { name, shape, flops, bytes, peak, record };
  }
}
