// The checks of vectors and updates, compiled to wasm, in Node.
//
// Made by `cargo build -p symbolon-web-vectors --profile web --target wasm32-unknown-unknown` and `cargo run -q -p
// symbolon-bindgen -- target/wasm32-unknown-unknown/web/symbolon_web_vectors.wasm web/dist/vectors`.

import { readFile, readdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

export const DIST = fileURLToPath(new URL('../../dist/vectors/', import.meta.url));
export const VECTORS = fileURLToPath(new URL('../../../docs/vectors/', import.meta.url));

/** The wasm module's exports, ready to be used. */
export async function load() {
  const module = await import(new URL('../../dist/vectors/symbolon_web_vectors.js', import.meta.url).href);
  await module.default({ module_or_path: await readFile(`${DIST}symbolon_web_vectors_bg.wasm`) });
  return module;
}

/** The names of the files of vectors that are there, without `.json`. */
export async function names() {
  const files = await readdir(VECTORS);
  return files.filter((file) => file.endsWith('.json')).map((file) => file.slice(0, -'.json'.length)).sort();
}

export const text = (name) => readFile(`${VECTORS}${name}.json`, 'utf8');

export const json = async (name) => JSON.parse(await text(name));

export const unhex = (text) => new Uint8Array(Buffer.from(text, 'hex'));
