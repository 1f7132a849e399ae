import { defineConfig } from 'vite';

// The wasm of onnxruntime-web is served from its package by bench.mjs, so nothing of it is bundled.
export default defineConfig({
  resolve: { conditions: ['onnxruntime-web-use-extern-wasm', 'module', 'browser', 'production'] },
  build: { outDir: 'dist', target: 'esnext', minify: false, chunkSizeWarningLimit: 10_000 },
  logLevel: 'warn',
});
