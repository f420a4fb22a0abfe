// Pictures of every view, wide and narrow, light and dark, under the server's Content-Security-Policy, each checked
// with axe-core. Needs `vite build --mode fake`; writes to dev/shots.
//
//     node dev/screenshots.mjs [part of a name]
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';
import { serve } from './serve.mjs';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const shots = here('./shots');
const wanted = process.argv[2] ?? '';
const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

const WIDE = { width: 1280, height: 800 };
const PHONE = { width: 360, height: 740 };
const known = { 'symbolon.user': 'Ada', 'symbolon.device': 'Chrome on Linux' };

const views = [
  { name: 'start-new', path: '?scene=new' },
  { name: 'start-home', path: '?scene=home', memory: known },
  { name: 'start-ask-server', path: '?scene=home', memory: known, config: null },
  { name: 'start-about', path: '?scene=new', act: (page) => page.getByRole('button', { name: 'How safe' }).click() },
  { name: 'start-bad-paste', path: '?scene=new', act: async (page) => {
    await page.getByLabel('Invite link or ticket').fill('hello');
    await page.getByRole('button', { name: 'Join', exact: true }).click();
  } },
  { name: 'start-scan', path: '?scene=new', act: async (page) => {
    await page.getByRole('button', { name: 'Scan a QR code' }).click();
    await page.waitForTimeout(800);
  } },
  { name: 'start-broken', path: '?scene=broken', memory: known },
  { name: 'join-name', path: '?scene=new#symbolon1abcdefgh' },
  { name: 'join-waiting', path: '?scene=new#symbolon1slowslowslow', memory: known },
  { name: 'join-failed', path: '?scene=new#symbolon1fail_nobody_answered', memory: known, act: (page) => page.waitForTimeout(600) },
  { name: 'invite', path: '?scene=new', memory: known, act: async (page) => {
    await page.getByLabel('Name of the room').fill('Summer house');
    await page.getByRole('button', { name: 'Create room' }).click();
    await page.locator('svg.qr').waitFor();
  } },
  { name: 'invite-came', path: '?scene=new', memory: known, act: async (page) => {
    await page.getByRole('button', { name: 'Create room' }).click();
    await page.getByRole('heading', { name: 'It fits' }).waitFor({ timeout: 8000 });
    await page.waitForTimeout(1200);
  } },
  { name: 'room-alone', path: '?scene=new', memory: known, act: async (page) => {
    await page.getByRole('button', { name: 'Create room' }).click();
    await page.getByRole('button', { name: 'Close' }).click();
  } },
  { name: 'room-text', path: '?scene=busy#room/room-plans', memory: known, act: (page) => page.waitForTimeout(400) },
  { name: 'room-find', path: '?scene=busy#room/room-plans', memory: known, act: async (page) => {
    await page.getByRole('button', { name: 'Find' }).click();
  } },
  { name: 'room-people', path: '?scene=busy#room/room-plans', memory: known, narrow: true, act: (page) => page.getByRole('tab', { name: 'People' }).click() },
  { name: 'room-topology', path: '?scene=busy#room/room-plans', memory: known, act: async (page) => {
    if (await page.getByRole('tab', { name: 'People' }).isVisible()) await page.getByRole('tab', { name: 'People' }).click();
    await page.getByText('As a list').click();
    await page.getByText('As a list').scrollIntoViewIfNeeded();
    await page.locator('.servers').scrollIntoViewIfNeeded();
  } },
  { name: 'room-menu', path: '?scene=busy#room/room-plans', memory: known, act: (page) => page.getByLabel('Menu').click() },
  { name: 'room-leave', path: '?scene=busy#room/room-plans', memory: known, act: async (page) => {
    await page.getByLabel('Menu').click();
    await page.getByRole('button', { name: 'Leave room' }).click();
  } },
  { name: 'room-unserved', path: '?scene=offline', memory: known, act: async (page) => {
    await page.getByRole('button', { name: 'Create room' }).click();
    await page.getByRole('button', { name: 'Close' }).click();
    await page.getByText('The server cannot be reached').waitFor({ timeout: 8000 });
  } },
  { name: 'room-missing', path: '?scene=busy#room/nowhere', memory: known },
  { name: 'canvas', path: '?scene=busy#room/room-plans', memory: known, act: openCanvas },
  { name: 'canvas-empty', path: '?scene=home#room/room-two', memory: known, act: openCanvas },
];

async function openCanvas(page) {
  await page.getByRole('tab', { name: 'Canvas' }).click();
  await page.getByRole('img', { name: /^Drawing/ }).waitFor();
  await page.waitForTimeout(500);
}

const KINDS = [
  { kind: 'wide', viewport: WIDE, colorScheme: 'light' },
  { kind: 'wide-dark', viewport: WIDE, colorScheme: 'dark' },
  { kind: 'phone', viewport: PHONE, colorScheme: 'light', hasTouch: true, isMobile: true, deviceScaleFactor: 2 },
  { kind: 'phone-dark', viewport: PHONE, colorScheme: 'dark', hasTouch: true, isMobile: true, deviceScaleFactor: 2 },
];

await mkdir(shots, { recursive: true });
const profile = await mkdtemp(join(tmpdir(), 'page-shots-'));
const withConfig = await serve(here('./dist'), { config: { rendezvous: true } });
const without = await serve(here('./dist'));
const browser = await chromium.launch({
  executablePath: '/usr/bin/chromium',
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  env: { ...process.env, HOME: profile },
});
let bad = 0;
try {
  for (const view of views) {
    for (const { kind, ...options } of KINDS) {
      const name = `${view.name}-${kind}`;
      if (!name.includes(wanted) || (view.narrow && options.viewport === WIDE)) continue;
      await shoot(name, view, options);
    }
  }
} finally {
  await browser.close();
  withConfig.close();
  without.close();
  await rm(profile, { recursive: true, force: true });
}
console.log(bad ? `${bad} findings` : 'no finding');
process.exitCode = bad ? 1 : 0;

async function shoot(name, view, options) {
  const context = await browser.newContext({ ...options, reducedMotion: 'reduce' });
  const page = await context.newPage();
  page.setDefaultTimeout(5000);
  page.on('console', (message) => {
    if (message.type() === 'error' && !/404/.test(message.text())) report(name, message.text());
  });
  page.on('pageerror', (error) => report(name, error.stack ?? String(error)));
  await page.addInitScript((entries) => {
    for (const [key, value] of entries) localStorage.setItem(key, value);
  }, Object.entries(view.memory ?? {}));
  const site = view.config === null ? without : withConfig;
  try {
    await page.goto(site.url + view.path);
    await page.waitForTimeout(250);
    await view.act?.(page);
    await page.waitForTimeout(150);
    await page.screenshot({ path: join(shots, `${name}.png`) });
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    if (wide > 0) report(name, `scrolls sideways by ${wide} px`);
    // The picture above has been taken under the policy; axe itself has to be let in by the debugger.
    await page.evaluate(axe);
    const { violations } = await page.evaluate(() => globalThis.axe.run());
    for (const { id, impact, nodes } of violations) report(name, `axe ${impact}: ${id}: ${nodes.map((node) => node.target.flat().join(' ')).join(' | ')}`);
    if (page.url().includes('symbolon1')) report(name, 'a ticket is in the address');
  } catch (error) {
    report(name, String(error).split('\n').slice(0, 4).join(' '));
  }
  await context.close();
}

function report(name, what) {
  bad++;
  console.log(`${name}: ${what}`);
}
