// Link opened to text visible, key press to the other page, weight: Symbolon beside y-webrtc, with the same editor, in
// one Chromium, one after the other. `cargo xtask bench web` builds what is needed and runs it.

import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync } from 'node:zlib';
import { build } from 'esbuild';
import { person, startChromium } from '../test/support/browsers.mjs';
import { Server } from '../test/support/programs.mjs';
import { Site } from '../test/support/site.mjs';

const HERE = fileURLToPath(new URL('.', import.meta.url));
const RUNS = Number(process.env.RUNS ?? 20);
const KEYS = Number(process.env.KEYS ?? 200);
const TEXT = 'What was written before you came.';

const out = mkdtempSync(join(tmpdir(), 'symbolon-bench-'));
const browser = await startChromium();
try {
  await bundle();
  const site = await Site.start({ '/': out });
  console.log(`${RUNS} newcomers and ${KEYS} key presses each; times in ms, p50 / p99; Chromium ${browser.version()}\n`);
  const rows = [await symbolon(site), await yWebrtc(site)];
  console.table(Object.fromEntries(rows.map(({ name, ...row }) => [name, row])));
  await site.close();
} finally {
  await browser.close();
  rmSync(out, { recursive: true, force: true });
}

async function bundle() {
  await build({
    entryPoints: ['symbolon', 'y-webrtc'].map((name) => join(HERE, `src/${name}.js`)),
    bundle: true, format: 'esm', minify: true, outdir: out, target: 'es2022', define: { global: 'globalThis' },
  });
  const wasm = readFileSync(join(HERE, '../dist/core/symbolon_web_bg.wasm'));
  writeFileSync(join(out, 'symbolon_web_bg.wasm'), wasm);
  for (const name of ['symbolon', 'y-webrtc']) {
    // As the package's README has it.
    const preload = '<link rel="preload" as="fetch" type="application/wasm" crossorigin href="symbolon_web_bg.wasm">';
    const script = `<script type="module" src="${name}.js"></script>`;
    const head = `<title>${name}</title>${name === 'symbolon' ? preload : ''}`;
    writeFileSync(join(out, `${name}.html`), `<!doctype html><meta charset="utf-8">${head}${script}`);
  }
}

async function symbolon(site) {
  const server = await Server.start();
  try {
    const page = (hash = '') => `${site.url}/symbolon.html?${server.url}${hash}`;
    return await measure('symbolon', {
      first: page(),
      next: async (host) => page(`#${await host.evaluate(() => window.invite(1))}`),
      weight: ['symbolon.js', 'symbolon_web_bg.wasm'],
    });
  } finally {
    await server.kill();
  }
}

async function yWebrtc(site) {
  const port = await freePort();
  const server = join(HERE, '../node_modules/y-webrtc/bin/server.js');
  const child = spawn(process.execPath, [server], { env: { ...process.env, PORT: String(port) }, stdio: 'ignore' });
  try {
    await listening(port);
    const page = `${site.url}/y-webrtc.html#bench,ws://127.0.0.1:${port}`;
    return await measure('y-webrtc', { first: page, next: async () => page, weight: ['y-webrtc.js'] });
  } finally {
    child.kill();
  }
}

async function measure(name, { first, next, weight }) {
  const host = await open(first);
  await host.evaluate((text) => [...text].forEach((character) => window.type(character)), TEXT);
  const visible = [];
  for (let run = 0; run < RUNS; run++) {
    const link = await next(host);
    const guest = await open(link);
    await guest.waitForFunction((text) => window.shown?.().includes(text), TEXT);
    // Since the navigation began, on the page's own clock.
    visible.push(await guest.evaluate((length) => window.seen[length - 1] - performance.timeOrigin, TEXT.length));
    await guest.context().close();
  }
  const guest = await open(await next(host));
  await guest.waitForFunction((text) => window.shown?.().includes(text), TEXT);
  const there = await keys(host, guest);
  const back = await keys(guest, host);
  await guest.context().close();
  await host.context().close();
  const bytes = weight.map((file) => brotliCompressSync(readFileSync(join(out, file))).length);
  return {
    name,
    'link to text': times(visible),
    'key to other page': times([...there, ...back]),
    'JavaScript + wasm, KB (brotli)': bytes.map((n) => (n / 1000).toFixed(0)).join(' + '),
  };
}

async function open(url) {
  const context = await person(browser);
  const page = await context.newPage();
  await page.goto(url);
  await page.waitForFunction(() => window.ready || window.failed);
  const failed = await page.evaluate(() => window.failed);
  if (failed) throw new Error(failed);
  return page;
}

/** From the key's handler in one page to the change of the other page's DOM. */
async function keys(from, to) {
  const before = await to.evaluate(() => window.seen.length);
  const pressed = await from.evaluate(async (count) => {
    const times = [];
    for (let n = 0; n < count; n++) {
      times.push(window.type('k'));
      await new Promise((resolve) => setTimeout(resolve, 60));
    }
    return times;
  }, KEYS);
  await to.waitForFunction((length) => window.seen.length >= length, before + KEYS);
  const seen = await to.evaluate((from) => window.seen.slice(from), before);
  return pressed.map((at, n) => seen[n] - at);
}

function times(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (part) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))].toFixed(1);
  return `${at(0.5)} / ${at(0.99)}`;
}

function freePort() {
  return new Promise((resolve) => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
}

async function listening(port) {
  for (const until = Date.now() + 10_000; Date.now() < until; ) {
    const answered = await fetch(`http://127.0.0.1:${port}`).then(() => true, () => false);
    if (answered) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error('the signalling server of y-webrtc does not listen');
}
