import { defineConfig } from 'vite';

// One file for Node. Workspace packages ship TypeScript and WGSL, so everything is bundled but the packages with native
// or self-locating parts, which stay imports.
export default defineConfig({
  build: {
    ssr: 'src/cli/main.ts',
    outDir: 'dist',
    target: 'node20',
    sourcemap: true,
    rolldownOptions: { output: { entryFileNames: 'cotune.js' } },
  },
  ssr: { noExternal: true, external: ['webgpu', 'libsql', 'playwright-core'] },
});
