// What the build does once all files are there: the service worker with the list of what to keep, and every
// compressible file once more as .br and .gz, so that servers need not compress.
import { createHash } from 'node:crypto';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';

const COMPRESSIBLE = /\.(html|js|css|svg|json|webmanifest|wasm|txt)$/;
// Below this, headers weigh more than what compression saves.
const WORTH_IT = 256;

/** Asks for the core in the page's head: it is the largest part, and needed by whatever comes next. */
export function preloaded() {
  return {
    name: 'preloaded',
    apply: 'build',
    transformIndexHtml: {
      order: 'post',
      handler: (_html, { bundle }) =>
        Object.keys(bundle ?? {})
          .filter((file) => file.endsWith('.wasm'))
          .map((file) => ({
            tag: 'link',
            injectTo: 'head',
            attrs: { rel: 'preload', href: `./${file}`, as: 'fetch', type: 'application/wasm', crossorigin: '' },
          })),
    },
  };
}

/** Writes sw.js from its source: the names of all files, and a version that changes with any of their contents. */
export function precached(source) {
  let out;
  return {
    name: 'precached',
    apply: 'build',
    configResolved: (config) => void (out = config.build.outDir),
    closeBundle: {
      sequential: true,
      order: 'pre',
      async handler() {
        const files = (await filesIn(out)).filter((file) => !/^(sw\.js|config\.json)$|\.(br|gz)$/.test(file)).sort();
        const hash = createHash('sha256');
        const code = await readFile(source, 'utf8');
        hash.update(code);
        for (const file of files) hash.update(file).update(await readFile(join(out, file)));
        // The page itself is asked for by its folder, so that the worker works under any path.
        const names = files.map((file) => (file === 'index.html' ? './' : `./${file}`));
        const head = `const VERSION = '${hash.digest('hex').slice(0, 16)}';\nconst FILES = ${JSON.stringify(names)};\n`;
        await writeFile(join(out, 'sw.js'), head + code);
      },
    },
  };
}

/** Writes FILE.br and FILE.gz beside each file that gets smaller by it. */
export function compressed() {
  let out;
  return {
    name: 'compressed',
    apply: 'build',
    configResolved: (config) => void (out = config.build.outDir),
    closeBundle: {
      sequential: true,
      order: 'post',
      async handler() {
        for (const file of await filesIn(out)) {
          if (!COMPRESSIBLE.test(file)) continue;
          const bytes = await readFile(join(out, file));
          if (bytes.length < WORTH_IT) continue;
          const br = brotliCompressSync(bytes, {
            params: {
              [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY,
              [constants.BROTLI_PARAM_LGWIN]: constants.BROTLI_MAX_WINDOW_BITS,
              [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length,
            },
          });
          await writeFile(join(out, `${file}.br`), br);
          await writeFile(join(out, `${file}.gz`), gzipSync(bytes, { level: constants.Z_BEST_COMPRESSION }));
        }
      },
    },
  };
}

async function filesIn(folder) {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)).split(sep).join('/'));
}
