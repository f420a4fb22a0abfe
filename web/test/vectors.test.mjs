// The test vectors, by the same checks as in native tests, compiled to wasm: in Node, in Chromium and in Firefox.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { chromium } from 'playwright-core';
import puppeteer from 'puppeteer-core';
import * as Y from 'yjs';
import { DIST, VECTORS, json, load, names, text, unhex } from './support/vectors.mjs';

const CHROMIUM = process.env.SYMBOLON_CHROMIUM ?? '/usr/bin/chromium';
const FIREFOX = process.env.SYMBOLON_FIREFOX ?? '/usr/bin/firefox-esr';
const DEADLINE = 60_000;

const HEADERS = {
  'content-security-policy': "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'",
  'x-content-type-options': 'nosniff',
};
const TYPES = { html: 'text/html; charset=utf-8', js: 'text/javascript', json: 'application/json', wasm: 'application/wasm' };

let site;
let url;

before(async () => {
  site = createServer(async (request, response) => {
    const [, directory, file = ''] = /^\/(wasm|vectors)\/([a-z_-]+\.[a-z]+)$/.exec(request.url) ?? [];
    const type = directory === undefined ? TYPES.html : TYPES[file.split('.').pop()];
    try {
      const page = '<!doctype html><title>vectors</title>';
      const body = directory === undefined ? page : await readFile((directory === 'wasm' ? DIST : VECTORS) + file);
      response.writeHead(200, { ...HEADERS, 'content-type': type }).end(body);
    } catch {
      response.writeHead(404, HEADERS).end();
    }
  });
  await new Promise((resolve) => site.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${site.address().port}/`;
});

after(() => {
  site.close();
  site.closeAllConnections();
});

test('as5_the_vectors_hold_in_node', async () => {
  const { check, files } = await load();
  assert.deepEqual(files(), await names(), 'every file of docs/vectors is checked, and none is missing');
  for (const name of files()) assert.ok(check(name, await text(name)) > 0, name);
});

test('as5_a_vector_with_one_byte_changed_does_not_hold_in_node', async () => {
  const { check, files } = await load();
  for (const name of files()) {
    // What is to be refused may be refused for any reason.
    const { refused, ...rest } = await json(name);
    const whole = JSON.stringify(rest);
    const at = /"([0-9a-f]{16,}|[\w-]{43})"/.exec(whole).index + 9;
    const byte = `${whole.slice(0, at)}${whole[at] === '1' ? '2' : '1'}${whole.slice(at + 1)}`;
    assert.ok(check(name, JSON.stringify({ ...rest, refused })) > 0);
    const changed = JSON.stringify({ ...JSON.parse(byte), refused });
    assert.throws(() => check(name, changed), new RegExp(`^Error: ${name}\\.json: `), name);
  }
  assert.throws(() => check('frames', '{"frames":[]}'));
  assert.throws(() => check('other', '{}'));
});

/** In a page: how many vectors of each file hold. */
async function checkAll() {
  const module = await import('/wasm/symbolon_web_vectors.js');
  await module.default({ module_or_path: '/wasm/symbolon_web_vectors_bg.wasm' });
  const counts = {};
  for (const name of module.files()) {
    const response = await fetch(`/vectors/${name}.json`);
    if (!response.ok) throw new Error(`${name}.json is missing`);
    counts[name] = module.check(name, await response.text());
  }
  return counts;
}

async function assertAll(counts) {
  const { check } = await load();
  const inNode = {};
  for (const name of await names()) inNode[name] = check(name, await text(name));
  assert.deepEqual(counts, inNode);
  assert.ok(Object.values(counts).every((count) => count > 0));
}

test('as5_the_vectors_hold_in_chromium', { timeout: DEADLINE }, async () => {
  const args = [
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
  ];
  // `launch` makes a profile of its own and removes it.
  const browser = await chromium.launch({ executablePath: CHROMIUM, headless: true, args });
  try {
    const page = await browser.newPage();
    await page.goto(url);
    await assertAll(await page.evaluate(checkAll));
  } finally {
    await browser.close();
  }
});

test('as5_the_vectors_hold_in_firefox', { timeout: DEADLINE }, async () => {
  const browser = await puppeteer.launch({ browser: 'firefox', executablePath: FIREFOX, headless: true });
  try {
    const page = await browser.newPage();
    await page.goto(url);
    await assertAll(await page.evaluate(checkAll));
  } finally {
    await browser.close();
  }
});

test('as5_yjs_makes_of_the_vectors_what_they_say', async () => {
  const { frames, text_main } = await json('frames');
  const doc = new Y.Doc();
  for (const { update } of frames) if (update !== '') Y.applyUpdate(doc, unhex(update));
  assert.equal(doc.getText('text:main').toString(), text_main);

  const { update, strokes } = await json('canvas');
  const canvas = new Y.Doc();
  Y.applyUpdate(canvas, unhex(update.bytes));
  const drawn = canvas.getArray(update.root).map((stroke) => Buffer.from(stroke).toString('hex'));
  assert.deepEqual(drawn, strokes.map(({ bytes }) => bytes));
});
