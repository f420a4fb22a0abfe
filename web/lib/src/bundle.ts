// What `dist/symbolon.bundle.js` has: the package with Yjs in it, for pages without a bundler.

export * from './index.js';
export { Awareness } from 'y-protocols/awareness';
export * as Y from 'yjs';
