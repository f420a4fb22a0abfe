// The page as the programs serve it: from the server, from the agent's command, and from `cargo xtask demo`.

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Agent, Server, ended, person, startChromium, startFirefox, until, within } from './support/index.mjs';

const BIN = process.env.SYMBOLON_BIN_DIR ?? fileURLToPath(new URL('../../target/debug', import.meta.url));

const chromium = await startChromium();
after(() => chromium.close());

/** Answers what the page asks a newcomer who came by a link. */
async function enter(page, name) {
  await page.getByLabel('Your name').fill(name);
  await page.getByRole('button', { name: 'Join' }).click();
}

const editor = (page) => page.locator('.cm-content');

/** A program that prints lines and goes on: `find` gives the first line that fits. */
function talking(program, args) {
  const child = spawn(join(BIN, program), args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines = [];
  let look = () => {};
  const exit = new Promise((_, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`${program} ended (${code}): ${lines.join('\n')}`)));
  });
  // Ends are expected where nobody waits for a line.
  exit.catch(() => {});
  createInterface({ input: child.stdout }).on('line', (line) => (lines.push(line), look()));
  const find = (fits) =>
    within(
      Promise.race([
        exit,
        new Promise((resolve) => {
          look = () => {
            const line = lines.find(fits);
            if (line !== undefined) resolve(line);
          };
          look();
        }),
      ]),
      `${program} says what it should`,
    );
  return { child, find };
}

test('rv10_the_page_runs_in_chromium_as_the_server_serves_it', async () => {
  const server = await Server.start();
  const visitor = await person(chromium);
  try {
    const page = await visitor.newPage();
    const responses = [];
    page.on('response', (response) => responses.push(response));
    await page.goto(`http://127.0.0.1:${server.port}/`);
    await page.getByRole('heading').first().waitFor();
    // The service worker is installed once it has all files.
    await until(page, () => navigator.serviceWorker.getRegistration().then((found) => found?.active?.state === 'activated'));
    assert.ok(responses.length >= 3);
    for (const response of responses) {
      const { status, headers, url } = { status: response.status(), headers: response.headers(), url: response.url() };
      assert.equal(new URL(url).origin, `http://127.0.0.1:${server.port}`, 'nothing comes from elsewhere');
      assert.ok(status < 400, `${status} ${url}`);
      if (/\.(js|css)$|\/$/.test(new URL(url).pathname)) assert.equal(headers['content-encoding'], 'br', url);
    }
    assert.deepEqual(visitor.troubles, [], 'the policy is kept and nothing fails');
    assert.equal(await page.evaluate(() => window.isSecureContext), true);
  } finally {
    await visitor.close();
    await server.kill();
  }
});

test('rv10_the_page_runs_in_firefox_as_the_server_serves_it', async () => {
  const server = await Server.start();
  const firefox = await startFirefox();
  try {
    const page = await firefox.newPage();
    const troubles = [];
    page.on('pageerror', (error) => troubles.push(String(error)));
    page.on('console', (message) => message.type() === 'error' && troubles.push(message.text()));
    await page.goto(`http://127.0.0.1:${server.port}/`);
    await until(page, () => document.querySelector('h1, h2') !== null);
    assert.deepEqual(troubles, []);
  } finally {
    await firefox.close();
    await server.kill();
  }
});

test('cl5_the_page_from_ones_own_machine_joins_a_room_at_a_server', async () => {
  const [server, ada] = [await Server.start({ options: ['--no-page'] }), new Agent('ada')];
  const own = talking('symbolon', ['--json', 'page', '--listen', '127.0.0.1:0', '--server', server.url]);
  const visitor = await person(chromium);
  try {
    const room = await ada.create('notes', server);
    await ada.run('edit', room, '--insert', 'written in a terminal');
    const { ticket } = await ada.invite(room);
    const { url } = JSON.parse(await own.find((line) => line.startsWith('{')));
    const page = await visitor.newPage();
    await page.goto(`${url}#${ticket}`);
    assert.equal(new URL(page.url()).hash, '', 'the ticket does not stay in the address bar');
    await enter(page, 'Ben');
    await editor(page).getByText('written in a terminal').waitFor();
    await editor(page).press('End');
    await editor(page).pressSequentially(' and in a browser');
    await ada.untilText(room, 'and in a browser');
    assert.deepEqual(visitor.troubles, []);
  } finally {
    await visitor.close();
    await ended(own.child);
    await ada.end();
    await server.kill();
  }
});

test('cl5_the_demo_opens_on_the_page_and_a_terminal_meets_it', async () => {
  const demo = talking('xtask', ['demo', '--built', '--no-open']);
  const visitor = await person(chromium);
  try {
    const link = (await demo.find((line) => /^ *http:\/\/127\.0\.0\.1:\d+\/#symbolon1/.test(line))).trim();
    const join = (await demo.find((line) => line.includes(" join 'http"))).trim();
    const page = await visitor.newPage();
    await page.goto(link);
    await enter(page, 'Ben');
    await editor(page).getByText('shall we meet?').waitFor();

    const shell = (command) => {
      const { status, stdout, stderr } = spawnSync('sh', ['-c', command], { encoding: 'utf8' });
      assert.equal(status, 0, `${command}: ${stdout}${stderr}`);
      return stdout;
    };
    const symbolon = join.slice(0, join.indexOf(' join '));
    shell(join);
    shell(`${symbolon} edit plans --insert 'Cleo: from a terminal'`);
    await editor(page).getByText('Cleo: from a terminal').waitFor();
    await editor(page).press('Control+End');
    await editor(page).pressSequentially(' Ben: from the page');
    shell(`${symbolon} wait plans --text-contains 'Ben: from the page'`);
    assert.deepEqual(visitor.troubles, []);
    const home = /--home (\S+)\/you/.exec(symbolon)[1];
    await ended(demo.child, 'SIGINT');
    await within(
      (async () => {
        while (existsSync(home)) await new Promise((resolve) => setTimeout(resolve, 20));
      })(),
      'nothing is left behind',
    );
  } finally {
    await visitor.close();
    await ended(demo.child, 'SIGKILL');
  }
});
