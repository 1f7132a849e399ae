// Benchmarks, apart from the engine's face so that no app carries them along.
export type { BenchClock, ClockUsed } from './clock.ts';
export { GEOMETRY_NAMES, type GeometryName, geometryConfig } from './geometry.ts';
export { benchKernels, type KernelReport } from './kernels.ts';
export { PEAKS, type PeakName } from './peaks.ts';
export { benchStep, type StepReport } from './step.ts';
