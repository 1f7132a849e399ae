import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    name: 'kernels',
    include: ['src/**/*.test.ts', 'test/**/*.test.ts', 'bench/peers/src/**/*.test.ts'],
    testTimeout: 60_000,
    hookTimeout: 120_000,
  },
});
