// The page for everybody: by keyboard alone, read out, in the dark, on a phone, without a network.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { after, test } from 'node:test';
import { closeBrowsers, home, staged } from './support/index.mjs';

after(closeBrowsers);

const WIDE = { width: 1280, height: 800 };
const PHONE = { width: 360, height: 740 };
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** What axe has against a view, wide and narrow, light and dark, and whether a phone would have to scroll sideways. */
async function findings({ page }, view) {
  const found = [];
  for (const [size, viewport] of Object.entries({ wide: WIDE, phone: PHONE })) {
    await page.setViewportSize(viewport);
    for (const colorScheme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      const where = `${view}, ${size}, ${colorScheme}`;
      if (!(await page.evaluate(() => 'axe' in globalThis))) await page.evaluate(AXE);
      // Colours may be on their way from one scheme to the other.
      await page.evaluate(() => Promise.all(document.getAnimations().map(({ finished }) => finished.catch(() => {}))));
      const { violations } = await page.evaluate(() => globalThis.axe.run({ resultTypes: ['violations'] }));
      for (const { id, impact, nodes } of violations) {
        if (impact === 'serious' || impact === 'critical') found.push(`${where}: ${id}: ${nodes.map(({ target, any }) => `${target.flat().join(' ')} (${any[0]?.message})`).join(' | ')}`);
      }
      const [sideways, widest] = await page.evaluate(() => [
        document.documentElement.scrollWidth - innerWidth,
        [...document.querySelectorAll('body *')].filter((part) => part.getBoundingClientRect().right > innerWidth + 1 && !part.closest('.tools, svg')).map((part) => part.className || part.tagName)[0],
      ]);
      if (sideways > 0) found.push(`${where}: scrolls sideways by ${sideways} px (${widest})`);
    }
  }
  await page.setViewportSize(WIDE);
  return found;
}

test(
  'cl5_no_view_has_a_serious_finding_of_axe_or_scrolls_sideways',
  { timeout: 120_000 },
  staged(async (scene) => {
    const server = await scene.server();
    const ann = scene.agent('ann');
    await ann.create('plans', server);
    await ann.run('edit', 'plans', '--insert', 'Somebody at a terminal wrote a rather long line that has to be broken on a phone.\n\n- one\n- two\n');
    await ann.run('draw', 'plans', '--line', '20,20 200,200');
    const { link } = await ann.invite('plans');
    const found = [];

    const stranger = await scene.person('Cy');
    await stranger.visit(link.slice(0, -4));
    await stranger.introduce();
    await stranger.trouble();
    found.push(...(await findings(stranger, 'what went wrong')));

    const bo = await scene.person('Bo');
    await bo.visit(home(server));
    await bo.see('heading', 'Start a room');
    found.push(...(await findings(bo, 'start')));
    // Into the address bar of a page that is open already.
    await bo.visit(link);
    await bo.see('heading', 'You are invited');
    assert.equal(await bo.url(), home(server));
    found.push(...(await findings(bo, 'join')));
    await bo.introduce();
    await bo.inRoom();
    await bo.untilText('terminal');
    await bo.write('and so on');
    await ann.run('edit', 'plans', '--insert', '.');
    found.push(...(await findings(bo, 'text')));
    await bo.press('button', 'Invite', true);
    await bo.see('img', 'QR code of the invite');
    found.push(...(await findings(bo, 'invite')));
    await bo.dismiss();
    await bo.canvas();
    await bo.untilStrokes(1);
    found.push(...(await findings(bo, 'canvas')));
    await bo.page.setViewportSize(PHONE);
    await bo.press('tab', 'People');
    found.push(...(await findings(bo, 'people')));
    await bo.menu();
    found.push(...(await findings(bo, 'menu')));
    await bo.press('button', 'Leave room…');
    found.push(...(await findings(bo, 'leave')));
    await bo.press('button', 'Stay');
    await bo.press('tab', 'Text');
    await server.kill();
    await bo.says('The server cannot be reached');
    found.push(...(await findings(bo, 'without a server')));
    assert.deepEqual(found, []);
  }),
);

/** What a screen reader would call what has the focus; and whether eyes see where it is. */
const focused = ({ page }) =>
  page.evaluate(() => {
    let part = document.activeElement;
    while (part?.shadowRoot?.activeElement) part = part.shadowRoot.activeElement;
    const label = part.labels?.[0]?.innerText ?? '';
    const name = part.getAttribute('aria-label') ?? (label || part.innerText || part.value || part.tagName);
    const { outlineStyle, outlineWidth, boxShadow } = getComputedStyle(part);
    const shown = (outlineStyle !== 'none' && outlineWidth !== '0px') || boxShadow !== 'none' || part.matches('[contenteditable]');
    return { name: name.trim(), shown };
  });

/** Tab until this has the focus. */
async function tabTo(person, name, key = 'Tab') {
  const passed = [];
  for (let presses = 0; presses < 40; presses++) {
    const now = await focused(person);
    passed.push(now.name);
    if (now.name === name) {
      assert.ok(now.shown, `one sees that the focus is at ${name}`);
      return;
    }
    await person.page.keyboard.press(key);
  }
  assert.fail(`${name} is not reached; passed ${passed.join(', ')}`);
}

test(
  'cl5_everything_of_the_story_is_done_by_keyboard_alone',
  staged(async (scene) => {
    const server = await scene.server();
    const ada = await scene.person('Ada');
    const { keyboard } = ada.page;
    await ada.visit(home(server));
    await ada.see('heading', 'Start a room');
    await tabTo(ada, 'Your name');
    await keyboard.type('Ada');
    await tabTo(ada, 'Name of the room');
    await keyboard.type('plans');
    await keyboard.press('Enter');
    await ada.untilLink();
    await tabTo(ada, 'Copy link');
    await keyboard.press('Enter');
    await ada.see('button', 'Copied');
    const link = await ada.hands.run(() => navigator.clipboard.readText());
    await keyboard.press('Escape');
    await ada.until(() => document.querySelector('dialog[open]') === null, undefined, 'the dialog is closed');

    const bo = await scene.person('Bo');
    await bo.visit(link);
    await bo.see('heading', 'You are invited');
    await tabTo(bo, 'Your name');
    await bo.page.keyboard.type('Bo');
    await bo.page.keyboard.press('Enter');
    await bo.inRoom();

    await tabTo(ada, 'Shared text');
    await keyboard.type('typed');
    await bo.untilText('typed');
    // The focus is not caught in the text.
    await tabTo(ada, 'Invite');
    await keyboard.press('Enter');
    await ada.untilLink();
    await tabTo(ada, 'Close');
    await keyboard.press('Enter');
    await tabTo(ada, 'Invite');

    await tabTo(ada, 'Text', 'Shift+Tab');
    await keyboard.press('ArrowRight');
    await ada.see('img', 'Drawing of 0 strokes');
    await tabTo(ada, 'Eraser');
    await keyboard.press('Enter');
    assert.equal(await ada.page.getByRole('button', { name: 'Eraser' }).getAttribute('aria-pressed'), 'true');
    await tabTo(ada, 'Canvas', 'Shift+Tab');
    await keyboard.press('ArrowLeft');
    await ada.untilText('typed');
    await ada.until(() => document.querySelector('.editor').getClientRects().length > 0, undefined, 'the text is shown again');

    await tabTo(ada, 'Menu');
    await keyboard.press('Enter');
    await tabTo(ada, 'Leave room…');
    await keyboard.press('Enter');
    await ada.see('dialog', 'Leave “plans”?');
    await tabTo(ada, 'Leave room');
    await keyboard.press('Enter');
    await ada.see('heading', 'Start a room');
    await bo.untilMember('Ada', 'away');
  }),
);

test(
  'cl5_who_is_quicker_than_the_network_gets_the_room_all_the_same',
  staged(async (scene) => {
    const server = await scene.server();
    const ada = await scene.person('Ada');
    let answer;
    const pressed = new Promise((resolve) => (answer = resolve));
    await ada.page.route('**/config.json', (route) => pressed.then(() => route.continue()));
    await ada.visit(home(server));
    await ada.fill('Your name', 'Ada');
    await ada.press('button', 'Create room');
    await ada.see('button', 'Creating…');
    answer();
    await ada.untilLink();
  }),
);

test(
  'cl5_once_loaded_the_page_opens_without_its_server_and_shows_what_is_stored',
  staged(async (scene) => {
    const server = await scene.server();
    const ada = await scene.resident('Ada');
    await ada.create(server, 'plans');
    await ada.dismiss();
    await ada.write('kept on this machine');
    await ada.kept();
    await ada.until(async () => (await navigator.serviceWorker.ready).active?.state === 'activated', undefined, 'the page is kept');
    await ada.close();
    await server.kill();

    const later = await scene.resident('Ada', ada.profile);
    await later.visit(home(server));
    await later.press('button', 'plans only you so far');
    await later.untilText('kept on this machine');
    await later.write(', and more');
    await later.canvas();
    await later.press('tab', 'Text');
    await later.says('The server cannot be reached');
    await later.kept();
    await later.hands.reload();
    await later.untilText('kept on this machine, and more');
    assert.equal(await later.hands.run(() => navigator.serviceWorker.controller !== null), true);
  }),
);

test(
  'cl5_the_page_can_be_installed',
  staged(async (scene) => {
    const server = await scene.server();
    const ada = await scene.person('Ada');
    await ada.visit(home(server));
    await ada.until(async () => (await navigator.serviceWorker.ready).active?.state === 'activated', undefined, 'the page is kept');
    const session = await ada.hands.context.newCDPSession(ada.page);
    const { url, errors, data } = await session.send('Page.getAppManifest');
    assert.deepEqual(errors, []);
    const manifest = JSON.parse(data);
    assert.equal(manifest.name, 'Symbolon');
    assert.equal(manifest.display, 'standalone');
    assert.equal(new URL(manifest.start_url, url).href, home(server));
    assert.equal(new URL(manifest.scope, url).href, home(server));
    const sizes = [];
    for (const { src, type, sizes: size } of manifest.icons) {
      const icon = await fetch(new URL(src, url));
      assert.equal(icon.status, 200, src);
      assert.equal(icon.headers.get('content-type'), type, src);
      const bytes = Buffer.from(await icon.arrayBuffer());
      if (type === 'image/png') assert.equal(`${bytes.readUInt32BE(16)}x${bytes.readUInt32BE(20)}`, size, src);
      sizes.push(size);
    }
    for (const size of ['192x192', '512x512']) assert.ok(sizes.includes(size), size);
    const { installabilityErrors } = await session.send('Page.getInstallabilityErrors');
    assert.deepEqual(installabilityErrors.map(({ errorId }) => errorId).filter((id) => id !== 'in-incognito'), []);
  }),
);
