import path from 'node:path';
import { defineConfig } from 'vite';

const root = import.meta.dirname;
const repo = path.join(root, '..', '..');

/** Two pages: everything with a router of its own, and the plain test page. The edge serves what comes out. */
export default defineConfig({
  root,
  base: '/',
  build: {
    outDir: path.join(repo, '.cache', 'ui'),
    emptyOutDir: true,
    // Which page loads which files: the set-up tells their sizes from it.
    manifest: 'manifest.json',
    target: 'es2023',
    assetsDir: 'ui',
    // A style or image within a file would need a looser content security policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rollupOptions: {
      input: { index: path.join(root, 'index.html'), test: path.join(root, 'test.html') },
    },
  },
  esbuild: { jsx: 'automatic', jsxImportSource: 'preact' },
});
