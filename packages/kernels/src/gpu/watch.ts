import type { Program } from './program.ts';

// By device and not by Gpu: tests and tools wrap a Gpu, and mean the same device.
const watchers = new WeakMap<GPUDevice, Set<(program: Program) => void>>();

/** Calls `ran` at every run of every program on this device, e.g. to learn what a step consists of. Returns how to end it. */
export function watchRuns(device: GPUDevice, ran: (program: Program) => void): () => void {
  const all = watchers.get(device) ?? new Set();
  watchers.set(device, all);
  all.add(ran);
  return () => all.delete(ran);
}

export function reportRun(device: GPUDevice, program: Program): void {
  for (const ran of watchers.get(device) ?? []) ran(program);
}
