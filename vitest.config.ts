import { defineConfig } from 'vitest/config';

// One worker: software WebGPU already uses every core.
export default defineConfig({
  test: {
    projects: ['packages/kernels', 'packages/fl-core', 'apps/coordinator', 'apps/web'],
    maxWorkers: 1,
  },
});
