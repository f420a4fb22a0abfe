// The documented examples, built as anyone would and opened by two people in real browsers.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';
import { person, Server, Site, startChromium, temporary, until } from './support/index.mjs';

const path = (relative) => fileURLToPath(new URL(relative, import.meta.url));

let browser;
let server;

before(async () => {
  [browser, server] = await Promise.all([startChromium(), Server.start()]);
});

after(async () => {
  await browser?.close();
  await server?.kill();
});

/** Builds an example with Vite and serves it. */
async function built(t, example) {
  const out = temporary(example);
  t.after(() => out.remove());
  const root = path(`../examples/${example}`);
  await build({ root, logLevel: 'error', build: { outDir: out.path, emptyOutDir: true } });
  const site = await Site.start({ '/': out.path });
  t.after(() => site.close());
  return site;
}

/** Two people on an example's page, the second by a link of the first one's button. */
async function two(t, site) {
  const [ann, bob] = [await person(browser), await person(browser)];
  t.after(() => Promise.all([ann.close(), bob.close()]));
  const a = await ann.newPage();
  await a.goto(`${site.url}/?server=${encodeURIComponent(server.url)}`);
  await a.getByRole('button', { name: 'Invite' }).click();
  await until(a, () => document.querySelector('#link').textContent !== '');
  const b = await bob.newPage();
  await b.goto(await a.locator('#link').textContent());
  return { a, b, troubles: () => [...ann.troubles, ...bob.troubles] };
}

const both = (pages, condition, argument) => Promise.all(pages.map((page) => until(page, condition, argument)));

test('cl6_codemirror_works_unchanged', async (t) => {
  const { a, b, troubles } = await two(t, await built(t, 'codemirror'));
  const has = (lines) => {
    const root = document.querySelector('#editor')?.shadowRoot;
    const copies = [...(root?.querySelectorAll('.cm-line') ?? [])].map((line) => line.cloneNode(true));
    for (const copy of copies) copy.querySelectorAll('.cm-ySelectionCaret').forEach((caret) => caret.remove());
    return copies.map((copy) => copy.textContent).join('|') === lines;
  };
  await a.locator('.cm-content').click();
  await a.keyboard.type('one\ntwo');
  await both([a, b], has, 'one|two');
  await b.locator('.cm-content').click();
  await b.keyboard.press('Control+End');
  await b.keyboard.type(' and three');
  await both([a, b], has, 'one|two and three');
  // Each sees the other's cursor, and editors have their styles under the policy.
  await both([a, b], () => document.querySelector('#editor').shadowRoot.querySelector('.cm-ySelectionCaret') !== null);
  assert.equal(await a.locator('.cm-scroller').evaluate((scroller) => getComputedStyle(scroller).display), 'flex');
  // Undo is for one's own changes.
  await a.keyboard.press('Control+z');
  await both([a, b], has, ' and three');
  assert.equal(new URL(b.url()).hash, '', 'the secret is gone from the address');
  await b.reload();
  await until(b, has, ' and three');
  assert.deepEqual(troubles(), []);
});

test('cl6_prosemirror_works_unchanged', async (t) => {
  const { a, b, troubles } = await two(t, await built(t, 'prosemirror'));
  await a.locator('.ProseMirror').click();
  await a.keyboard.type('plain ');
  await a.keyboard.press('Control+b');
  await a.keyboard.type('bold');
  await both([a, b], () => document.querySelector('.ProseMirror strong')?.textContent === 'bold');
  await b.locator('.ProseMirror').click();
  await b.keyboard.press('Control+End');
  await b.keyboard.press('Enter');
  await b.keyboard.type('second paragraph');
  const paragraphs = () => {
    const copy = document.querySelector('.ProseMirror')?.cloneNode(true);
    if (copy === undefined) return false;
    for (const cursor of copy.querySelectorAll('.ProseMirror-yjs-cursor, .ProseMirror-separator')) cursor.remove();
    return [...copy.querySelectorAll('p')].map((p) => p.textContent.replaceAll('\u2060', '')).join('|') === 'plain bold|second paragraph';
  };
  await both([a, b], paragraphs);
  await both([a, b], () => document.querySelector('.ProseMirror-yjs-cursor') !== null);
  // It is there again after a reload.
  await b.reload();
  await until(b, paragraphs);
  assert.deepEqual(troubles(), []);
});

test('cl6_a_page_without_a_bundler_works', async (t) => {
  const site = await Site.start({ '/symbolon/': path('../lib/dist'), '/': path('../examples/plain') });
  t.after(() => site.close());
  const { a, b, troubles } = await two(t, site);
  const items = (expected) => [...document.querySelectorAll('#list li')].map((li) => li.textContent).join() === expected;
  await a.getByLabel('Add').fill('milk');
  await a.keyboard.press('Enter');
  await both([a, b], items, 'milk');
  await b.getByLabel('Add').fill('bread');
  await b.keyboard.press('Enter');
  await both([a, b], items, 'milk,bread');
  assert.deepEqual(troubles(), []);
});
