import { describeAdapter } from '@cotune/kernels';
import type { StorageFinding } from '../stores/join-store.ts';
import type { GpuFinding } from './gpu-verdict.ts';

/** Asks the browser for its best adapter without opening it. */
export async function findGpu(): Promise<GpuFinding> {
  if (!window.isSecureContext) return { kind: 'insecure' };
  if (!navigator.gpu) return { kind: 'no-webgpu' };
  const adapter = await navigator.gpu.requestAdapter({ powerPreference: 'high-performance' });
  return adapter ? { kind: 'adapter', adapter: describeAdapter(adapter) } : { kind: 'no-adapter' };
}

/** How much this browser lets the page keep. */
export async function findStorage(): Promise<StorageFinding> {
  let persistent = false;
  try {
    persistent = Boolean(await navigator.storage?.getDirectory?.());
  } catch {
    // Some private windows offer no file system.
  }
  const estimate = await navigator.storage?.estimate?.().catch(() => undefined);
  const freeBytes = estimate?.quota === undefined ? null : Math.max(0, estimate.quota - (estimate.usage ?? 0));
  return { freeBytes, persistent };
}
