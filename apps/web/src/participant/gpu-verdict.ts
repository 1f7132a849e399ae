import type { AdapterSummary } from '@cotune/kernels';
import { formatBytes } from '../ui/units.ts';
import { type Browser, enableWebGpuSteps } from './browser.ts';

/** What the GPU allows. `reason` says why, `action` what the owner can do about it. */
export type GpuVerdict =
  | { readonly state: 'detecting' }
  | { readonly state: 'ok'; readonly name: string; readonly reason: string }
  | { readonly state: 'degraded'; readonly name: string; readonly reason: string; readonly action: string }
  | { readonly state: 'impossible'; readonly reason: string; readonly action: string };

/** What was found out about WebGPU in this tab. */
export type GpuFinding =
  | { readonly kind: 'insecure' }
  | { readonly kind: 'no-webgpu' }
  | { readonly kind: 'no-adapter' }
  | { readonly kind: 'adapter'; readonly adapter: AdapterSummary };

/** A readable name of the adapter, as browsers disclose it: "nvidia ampere", "SwiftShader (software)". */
export function adapterName(adapter: AdapterSummary): string {
  if (adapter.kind === 'swiftshader') return 'SwiftShader (software)';
  if (adapter.kind === 'llvmpipe') return 'llvmpipe (software)';
  const words =
    adapter.description || [adapter.vendor, adapter.architecture || adapter.device].filter(Boolean).join(' ');
  return words || 'unnamed GPU';
}

/** Judges a finding against what the run needs: its memory (bytes) and whether software adapters may train its model. */
export function judgeGpu(
  finding: GpuFinding,
  need: { readonly memoryBytes: number; readonly largestBufferBytes: number; readonly allowSoftware: boolean },
  browser: Browser,
): GpuVerdict {
  if (finding.kind === 'insecure') {
    return {
      state: 'impossible',
      reason: 'This page was not opened over HTTPS (or on localhost), so the browser hides the GPU from it.',
      action: 'Open the same link with https:// in front, or ask the organiser for one.',
    };
  }
  if (finding.kind === 'no-webgpu') {
    return { state: 'impossible', reason: 'This browser offers no WebGPU.', action: enableWebGpuSteps(browser) };
  }
  if (finding.kind === 'no-adapter') {
    return {
      state: 'impossible',
      reason: 'WebGPU is there, but it found no usable GPU.',
      action: enableWebGpuSteps(browser),
    };
  }
  const { adapter } = finding;
  const name = adapterName(adapter);
  if (adapter.kind !== 'hardware') {
    if (!need.allowSoftware) {
      return {
        state: 'impossible',
        reason: `The browser offers only ${name}, which would take days for this model.`,
        action: enableWebGpuSteps(browser),
      };
    }
    return {
      state: 'degraded',
      name,
      reason: 'No hardware GPU is used; this small model trains on the processor instead.',
      action: 'Nothing needs to be done: it works, only slower.',
    };
  }
  const limit = adapter.limits.maxStorageBufferBindingSize;
  if (need.largestBufferBytes > limit) {
    return {
      state: 'impossible',
      reason: `The largest weight matrix takes ${formatBytes(need.largestBufferBytes)}, but this GPU binds at most ${formatBytes(limit)}.`,
      action: 'Join from a computer with a larger GPU.',
    };
  }
  if (!adapter.features.includes('shader-f16')) {
    return {
      state: 'ok',
      name,
      reason: `Needs about ${formatBytes(need.memoryBytes)} of GPU memory; half precision is not offered.`,
    };
  }
  return { state: 'ok', name, reason: `Needs about ${formatBytes(need.memoryBytes)} of GPU memory.` };
}
