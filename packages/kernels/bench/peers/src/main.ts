// The page. bench.mjs calls `benchPeers` and prints what it returns.
import { describeAdapter } from '../../../src/index.ts';
import { benchMatmul, type Entrant } from './matmul/bench.ts';
import type { Library } from './matmul/contestant.ts';
import { openJax } from './matmul/jax.ts';
import { openOnnxRuntime } from './matmul/onnxruntime.ts';
import { openOurs } from './matmul/ours.ts';
import { DIRECTIONS, type LinearShape } from './matmul/product.ts';
import { openTfjs } from './matmul/tfjs.ts';
import type { MatmulReport, Report, StepReport } from './report.ts';
import { benchStep } from './step/bench.ts';
import { formatMatmul, formatReport } from './table.ts';

export interface BenchOptions {
  /** By default those that suit the adapter. */
  readonly shapes: readonly LinearShape[] | null;
  readonly parts: readonly ('matmul' | 'step')[];
  /** The others that take part, by the names in the tables; by default all of them. */
  readonly libraries: readonly string[] | null;
  readonly repeats: number;
  readonly burstMs: number;
  readonly browser: string;
  readonly versions: Readonly<Record<string, string>>;
  /** Where onnxruntime-web's wasm files are served. */
  readonly wasmPath: string;
}

/** Llama-shaped: with few tokens on software adapters, Llama-2-7B's own on hardware. */
const SHAPES: Record<'software' | 'hardware', readonly LinearShape[]> = {
  software: [
    { rows: 256, inputs: 1024, outputs: 1024 },
    { rows: 128, inputs: 4096, outputs: 1024 },
    { rows: 512, inputs: 128, outputs: 344 },
  ],
  hardware: [
    { rows: 256, inputs: 1024, outputs: 1024 },
    { rows: 2048, inputs: 4096, outputs: 4096 },
    { rows: 2048, inputs: 4096, outputs: 11008 },
  ],
};

declare global {
  /** From bench.mjs, on Linux: CPU time that the browser's GPU process has used so far. */
  var gpuProcessCpuMs: (() => Promise<number>) | undefined;
}

const say = (line: string) => console.info(line);

async function benchPeers(options: BenchOptions): Promise<{ report: Report; table: string }> {
  const { repeats, burstMs, browser, versions } = options;
  const adapter = await adapterSummary();
  const cpuMs = adapter.kind === 'hardware' ? null : (globalThis.gpuProcessCpuMs ?? null);
  const timing = { repeats, burstMs, nowMs: () => performance.now(), cpuMs };
  const takesPart = (name: string) => name === 'Cotune' || (options.libraries?.includes(name) ?? true);
  const matmuls: MatmulReport[] = [];
  if (options.parts.includes('matmul')) {
    const entrants = await openEntrants(options.wasmPath, takesPart);
    const shapes = options.shapes ?? SHAPES[adapter.kind === 'hardware' ? 'hardware' : 'software'];
    for (const shape of shapes) {
      for (const direction of DIRECTIONS) {
        const matmul = await benchMatmul(entrants, shape, direction, timing, say);
        matmuls.push(matmul);
        say(formatMatmul(matmul)); // whoever stops a long run has seen what it found so far
      }
    }
  }
  const step: StepReport | null = options.parts.includes('step') ? await benchStep(timing, takesPart, say) : null;
  const { vendor, architecture, device, description } = adapter;
  const words = [vendor, architecture, device, description].filter((word) => word !== '').join(' ');
  const report = { environment: { adapter: words, browser, versions, repeats }, matmuls, step };
  return { report, table: formatReport(report) };
}

/** A library that does not open is a fault of this benchmark or of the installation, so it ends the run. */
async function openEntrants(wasmPath: string, takesPart: (name: string) => boolean): Promise<Entrant[]> {
  const open: readonly [string, () => Promise<Library>][] = [
    ['Cotune', openOurs],
    ['onnxruntime-web', () => openOnnxRuntime(wasmPath)],
    ['TensorFlow.js', openTfjs],
    ['jax-js', openJax],
  ];
  const entrants: Entrant[] = [];
  for (const [name, library] of open.filter(([known]) => takesPart(known))) {
    say(`opening ${name}`);
    entrants.push({ name, ours: name === 'Cotune', library: await library() });
  }
  return entrants;
}

async function adapterSummary() {
  const adapter = await navigator.gpu.requestAdapter({ powerPreference: 'high-performance' });
  if (!adapter) throw new Error('this browser has no WebGPU adapter');
  return describeAdapter(adapter);
}

Object.assign(globalThis, { benchPeers, adapterKind: async () => (await adapterSummary()).kind });
