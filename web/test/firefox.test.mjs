// The page in Firefox: with another Firefox, with Chromium, with an agent.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { closeBrowsers, staged } from './support/index.mjs';

after(closeBrowsers);

/** One invites, one opens the link; both write; whoever came is loaded again and goes on. */
async function meet(scene, ada, bo) {
  const server = await scene.server();
  await ada.create(server, 'plans');
  const link = await ada.invite();
  assert.equal(await ada.copy(), link);
  await bo.join(link);
  await ada.see('heading', 'It fits');
  await ada.press('button', 'Go on');
  await ada.write('hello ');
  await bo.untilText('hello ');
  await bo.untilCursor('Ada');
  await bo.write('world');
  await ada.untilText('hello world');
  await ada.untilMember('Bo', 'connected directly');

  await bo.hands.reload();
  await bo.inRoom();
  await bo.untilText('hello world');
  await bo.untilMember('Ada', 'connected directly');
  await bo.write('!');
  await ada.untilText('hello world!');
  assert.equal((await ada.members()).length, 2);
  assert.doesNotMatch(await bo.url(), /symbolon1/);
}

test(
  'cl5_firefox_meets_firefox',
  staged(async (scene) => meet(scene, await scene.inFirefox('Ada'), await scene.inFirefox('Bo'))),
);

test(
  'cl5_firefox_meets_chromium_by_its_link',
  staged(async (scene) => meet(scene, await scene.inFirefox('Ada'), await scene.person('Bo'))),
);

test(
  'cl5_chromium_meets_firefox_by_its_link',
  staged(async (scene) => meet(scene, await scene.person('Ada'), await scene.inFirefox('Bo'))),
);

test(
  'cl5_firefox_meets_an_agent',
  staged(async (scene) => {
    const server = await scene.server();
    const ann = scene.agent('ann');
    await ann.create('plans', server);
    await ann.run('edit', 'plans', '--insert', 'hello ');
    const { link } = await ann.invite('plans');
    const bo = await scene.inFirefox('Bo');
    await bo.join(link);
    await bo.untilText('hello ');
    await bo.write('world');
    await ann.untilText('plans', 'hello world');
    await ann.run('edit', 'plans', '--insert', '!');
    await bo.untilText('hello world!');
    await bo.hands.reload();
    await bo.inRoom();
    await bo.untilText('hello world!');
    await bo.write(' again');
    await ann.untilText('plans', 'hello world! again');
    assert.equal((await ann.json('members', 'plans')).length, 2);
  }),
);
