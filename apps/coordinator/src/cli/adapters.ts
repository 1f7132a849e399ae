import { describeAdapter } from '@cotune/kernels';
import { nodeGpu } from '@cotune/kernels/node';
import { Command } from 'commander';
import { formatBytes, printResult } from './output.ts';

/** `cotune adapters`: what WebGPU offers on this machine and what would be used. */
export function adaptersCommand(): Command {
  return new Command('adapters')
    .description('WebGPU adapters here: features, limits, which would be used and why')
    .option('--json', 'print one JSON object')
    .action(async (options: { json?: boolean }) => {
      const gpu = await nodeGpu({ allowSoftware: true });
      const found: ReturnType<typeof describeAdapter>[] = [];
      for (const request of [
        { powerPreference: 'high-performance' },
        { powerPreference: 'low-power' },
        { forceFallbackAdapter: true },
      ] as const) {
        const adapter = await gpu.requestAdapter(request);
        if (!adapter) continue;
        const summary = describeAdapter(adapter);
        if (!found.some((other) => other.description === summary.description && other.device === summary.device)) {
          found.push(summary);
        }
      }
      const hardware = found.find((adapter) => adapter.kind === 'hardware');
      const used = hardware ?? found[0];
      const why = hardware
        ? 'the first hardware adapter'
        : used
          ? 'no hardware adapter: software, for the demo model, tests and tiny models only'
          : 'no adapter: install a Vulkan driver (see the README), or mesa-vulkan-drivers ≥ 25 for software WebGPU';
      printResult(options.json, { adapters: found, used: used?.description ?? null, why }, () =>
        [
          ...found.map((adapter) =>
            [
              `${adapter === used ? '* ' : '  '}${adapter.description || adapter.device} (${adapter.kind})`,
              `    vendor ${adapter.vendor}, architecture ${adapter.architecture}`,
              `    largest buffer ${formatBytes(adapter.limits.maxBufferSize)}, largest binding ${formatBytes(adapter.limits.maxStorageBufferBindingSize)}`,
              `    workgroup memory ${formatBytes(adapter.limits.maxComputeWorkgroupStorageSize)}, ${adapter.limits.maxComputeInvocationsPerWorkgroup} threads`,
              `    features ${adapter.features.join(', ')}`,
            ].join('\n'),
          ),
          `used: ${why}`,
        ].join('\n'),
      );
      if (!used) process.exitCode = 1;
    });
}
