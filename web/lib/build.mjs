// Builds `dist`: the modules with their types, the core beside them, and all of it with Yjs as one file.

import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const here = fileURLToPath(new URL('.', import.meta.url));
const core = fileURLToPath(new URL('../dist/core/', import.meta.url));
const root = fileURLToPath(new URL('../../', import.meta.url));

rmSync(`${here}dist`, { recursive: true, force: true });
const tsc = fileURLToPath(import.meta.resolve('typescript/package.json')).replace(/package\.json$/, 'bin/tsc');
const { status } = spawnSync(process.execPath, [tsc, '-p', here], { stdio: 'inherit' });
if (status !== 0) process.exit(status ?? 1);

// The types are written by hand, more exact than those that are made: both must name the same calls.
const made = calls(readFileSync(`${core}symbolon_web.d.ts`, 'utf8'));
for (const [name, parameters] of calls(readFileSync(`${here}src/core/symbolon_web.d.ts`, 'utf8'))) {
  if (made.get(name) === parameters) continue;
  console.error(`core/symbolon_web.d.ts: ${name}(${parameters}) is ${name}(${made.get(name) ?? 'missing'}) in the core`);
  process.exit(1);
}

mkdirSync(`${here}dist/core`, { recursive: true });
for (const file of ['symbolon_web.js', 'symbolon_web_bg.wasm']) copyFileSync(core + file, `${here}dist/core/${file}`);
copyFileSync(`${here}src/core/symbolon_web.d.ts`, `${here}dist/core/symbolon_web.d.ts`);
for (const file of ['LICENSE-APACHE', 'LICENSE-MIT']) copyFileSync(root + file, here + file);

await build({
  entryPoints: [`${here}dist/bundle.js`],
  outfile: `${here}dist/symbolon.bundle.js`,
  bundle: true,
  minify: true,
  format: 'esm',
  target: 'es2022',
  legalComments: 'none',
});
rmSync(`${here}dist/bundle.js`);

/** By name, the names of the parameters of all methods and functions of a module's types. */
function calls(types) {
  const found = new Map();
  for (const [, name, list] of types.matchAll(/^(?:export function | {4}| {2})(\w+)\(([^)]*)\):? /gm)) {
    found.set(name, list.split(/,(?![^<[{]*[>\]}])/).map((one) => one.split(/[?:]/)[0].trim()).filter(Boolean).join(', '));
  }
  return found;
}
