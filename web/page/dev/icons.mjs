// Makes the PNG icons from icon.svg: `node dev/icons.mjs`.
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const file = (name) => fileURLToPath(new URL(`../public/${name}`, import.meta.url));
const svg = await readFile(file('icon.svg'), 'utf8');
const PAPER = '#f3f6f5';
// A maskable icon keeps its middle four fifths under any mask.
const ICONS = [
  { name: 'icon-192.png', size: 192, fill: 1 },
  { name: 'icon-512.png', size: 512, fill: 1 },
  { name: 'icon-maskable-512.png', size: 512, fill: 0.62, paper: PAPER },
  { name: 'icon-180.png', size: 180, fill: 0.78, paper: PAPER },
];

const browser = await chromium.launch({
  executablePath: '/usr/bin/chromium',
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
for (const { name, size, fill, paper = 'transparent' } of ICONS) {
  const page = await browser.newPage({ viewport: { width: size, height: size } });
  await page.setContent(
    `<body style="margin:0;display:grid;place-items:center;height:100vh;background:${paper}"><div style="width:${fill * 100}%;height:${fill * 100}%">${svg}</div>`,
  );
  await page.screenshot({ path: file(name), omitBackground: true });
  await page.close();
}
await browser.close();
