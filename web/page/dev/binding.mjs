// Runs dev/binding.ts in Chromium: `node dev/binding.mjs [seeds]`.
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { chromium } from 'playwright-core';

const seeds = Number(process.argv[2] ?? 20);
const { outputFiles } = await build({
  entryPoints: [fileURLToPath(new URL('./binding.ts', import.meta.url))],
  bundle: true,
  write: false,
  format: 'iife',
});
const browser = await chromium.launch({
  executablePath: '/usr/bin/chromium',
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
let bad = 0;
try {
  const page = await browser.newPage();
  await page.setContent('<body>');
  await page.addScriptTag({ content: outputFiles[0].text });
  for (let seed = 1; seed <= seeds; seed++) {
    await page.evaluate((seed) => globalThis.fuzzBinding(seed), seed).catch((error) => {
      bad++;
      console.log(error.message.split('\n')[0]);
    });
  }
} finally {
  await browser.close();
}
console.log(`${seeds} seeds, ${bad} bad`);
process.exitCode = bad ? 1 : 0;
