import { defineConfig } from 'vite';

export default defineConfig({
  base: './',
  build: { outDir: 'dist/page', emptyOutDir: true, target: 'es2023', sourcemap: true, chunkSizeWarningLimit: 1500 },
  worker: { format: 'es' },
});
