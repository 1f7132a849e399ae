import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

const coordinator = process.env.COTUNE_URL ?? 'http://localhost:7400';

export default defineConfig({
  plugins: [react()],
  worker: { format: 'es' },
  build: {
    target: 'es2023',
    // The coordinator's CSP allows no data: scripts, and small files are cheap over one connection.
    assetsInlineLimit: 0,
    reportCompressedSize: true,
  },
  server: {
    proxy: {
      '/api': coordinator,
      '/socket.io': { target: coordinator, ws: true },
    },
    headers: { 'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp' },
  },
});
