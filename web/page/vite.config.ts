import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';
import { compressed, precached, preloaded } from './build/finish.mjs';

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

// `--mode fake` builds the page over dev/fake.ts: people who are not there, for screenshots of every state.
export default defineConfig(({ mode }) => ({
  base: './',
  resolve: {
    alias:
      mode === 'fake'
        ? [
            { find: /^symbolon\/core\.wasm\?url$/, replacement: here('./public/icon.svg') + '?url' },
            { find: /^symbolon$/, replacement: here('./dev/fake.ts') },
          ]
        : [],
    dedupe: ['yjs', 'y-protocols', 'lib0'],
  },
  build: {
    outDir: mode === 'fake' ? here('./dev/dist') : here('../dist/page'),
    emptyOutDir: true,
    target: ['es2022', 'chrome111', 'firefox115', 'safari16.4'],
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    sourcemap: false,
  },
  plugins: [preloaded(), precached(here('./src/sw.js')), compressed()],
}));
