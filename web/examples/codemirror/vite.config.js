export default {
  base: './',
  build: { target: 'es2022' },
  // Only for `vite` itself: what it bundles beforehand loses the file beside it, the wasm core.
  optimizeDeps: { exclude: ['symbolon'] },
};
