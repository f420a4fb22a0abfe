// Browsers and agents in one room: the same text, the same drawing, the same list of members and links.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { closeBrowsers, staged } from './support/index.mjs';

after(closeBrowsers);

test(
  'cl5_a_stranger_opens_a_link_and_meets_somebody_at_a_terminal',
  staged(async (scene) => {
    const server = await scene.server();
    const ann = scene.agent('ann');
    await ann.create('plans', server);
    await ann.run('edit', 'plans', '--insert', 'from the terminal; ');
    const { link } = await ann.invite('plans');
    const bo = await scene.person('Bo');
    await bo.join(link);
    await bo.untilText('from the terminal; ');
    await bo.write('from the page');
    await ann.untilText('plans', 'from the terminal; from the page');
    assert.equal(await ann.text('plans'), 'from the terminal; from the page');

    const members = await ann.json('members', 'plans');
    assert.deepEqual(members.map(({ user, online }) => [user, online]).sort(), [['Bo', true], ['ann', true]]);
    assert.match(await ann.run('members', 'plans'), /(Chrome|Chromium) on Linux +Bo +direct +ann/);
    const { edges } = await ann.json('topology', 'plans');
    assert.deepEqual(edges.map(({ state }) => state), ['confirmed']);
    assert.match(await ann.run('topology', 'plans'), /Confirmed by both ends: 1 of 1\./);
    await bo.untilMember('ann', 'connected directly');
    await bo.untilEdges('confirmed', 1);
  }),
);

test(
  'cl5_an_agent_joins_by_the_link_of_a_page',
  staged(async (scene) => {
    const server = await scene.server();
    const ada = await scene.person('Ada');
    await ada.create(server, 'plans');
    const link = await ada.invite();
    const ben = scene.agent('ben');
    await ben.join(link);
    await ada.see('heading', 'It fits');
    await ada.says('ben is in the room.');
    await ada.press('button', 'Go on');
    await ada.write('hello ');
    await ben.untilText('plans', 'hello ');
    await ben.run('edit', 'plans', '--insert', 'world');
    await ada.untilText('hello world');

    // The agent invites the next one, who meets both.
    const cy = await scene.person('Cy');
    await cy.join((await ben.invite('plans')).link);
    await cy.untilText('hello world');
    await cy.untilMember('Ada', 'connected directly');
    await cy.untilMember('ben', 'connected directly');
    await cy.untilMember('Cy', 'invited by ben');
    await ada.untilEdges('confirmed', 3);
  }),
);

test(
  'st3_what_a_mouse_draws_is_a_picture_at_the_terminal_and_the_other_way_round',
  staged(async (scene) => {
    const server = await scene.server();
    const ann = scene.agent('ann');
    await ann.create('plans', server);
    const bo = await scene.person('Bo');
    await bo.join((await ann.invite('plans')).link);
    const cy = await scene.person('Cy');
    await cy.join((await ann.invite('plans')).link);
    for (const person of [bo, cy]) await person.canvas();

    await bo.press('button', 'Red', true);
    await bo.press('button', 'Broad', true);
    await bo.draw([100, 100], [200, 150], [300, 100]);
    await cy.untilStrokes(1);
    await ann.until('the stroke of Bo', async () => (await ann.strokes('plans')).length === 1);
    const [stroke] = await ann.strokes('plans');
    assert.equal(stroke.color, '#c03a2b');
    const svg = await ann.run('draw', 'plans');
    assert.match(svg, /^<svg[^>]*>/);
    assert.match(svg, /#c03a2b/);

    await ann.run('draw', 'plans', '--line', '50,250 350,250', '--color', '#00ff00', '--width', '12');
    for (const person of [bo, cy]) {
      await person.untilStrokes(2);
      await person.untilPixels('#00ff00');
      await person.untilPixels('#c03a2b');
    }
    assert.equal((await ann.json('documents', 'plans')).find(({ kind }) => kind === 'canvas').name, 'main');
  }),
);

test(
  'st3_undo_takes_back_ones_own_strokes_only_and_the_eraser_takes_any',
  staged(async (scene) => {
    const server = await scene.server();
    const ada = await scene.person('Ada');
    await ada.create(server, 'plans');
    const bo = await scene.person('Bo');
    await bo.join(await ada.invite());
    await ada.press('button', 'Go on');
    for (const person of [ada, bo]) await person.canvas();
    await ada.press('button', 'Blue');
    await ada.draw([100, 100], [300, 100]);
    await bo.untilStrokes(1);
    await bo.press('button', 'Green');
    await bo.draw([100, 200], [300, 200]);
    await ada.untilStrokes(2);

    await ada.press('button', 'Undo', true);
    for (const person of [ada, bo]) await person.untilStrokes(1);
    await ada.untilPixels('#0b7a6f');
    assert.equal(await ada.page.getByRole('button', { name: 'Undo' }).isDisabled(), true, 'nothing of one’s own is left');
    await ada.press('button', 'Redo', true);
    for (const person of [ada, bo]) await person.untilStrokes(2);

    await bo.press('button', 'Eraser');
    await bo.draw([200, 60], [200, 140]);
    for (const person of [ada, bo]) await person.untilStrokes(1);
    await bo.press('button', 'Undo', true);
    for (const person of [ada, bo]) await person.untilStrokes(2);

    const saved = await bo.download('Save as SVG');
    assert.equal(saved.name, 'plans.svg');
    assert.match(saved.bytes.toString(), /<svg[^]*#3b5bd0[^]*<\/svg>/);
    const png = await bo.download('Save as PNG');
    assert.equal(png.name, 'plans.png');
    assert.deepEqual([...png.bytes.subarray(1, 4)], [...Buffer.from('PNG')]);
    await bo.says('Drawing saved as PNG.');
  }),
);

test(
  'st5_a_stroke_is_seen_by_others_while_it_is_being_drawn',
  staged(async (scene) => {
    const server = await scene.server();
    const ada = await scene.person('Ada');
    await ada.create(server, 'plans');
    const bo = await scene.person('Bo');
    await bo.join(await ada.invite());
    await ada.press('button', 'Go on');
    for (const person of [ada, bo]) await person.canvas();
    await bo.press('button', 'Violet');
    await bo.press('button', 'Very broad');
    await bo.holdPen([100, 100], [200, 200], [300, 100]);
    await ada.untilPixels('#8d3fa0');
    assert.equal(await ada.strokes(), 0, 'it is not a stroke yet');
    await bo.page.mouse.up();
    await ada.untilStrokes(1);
    await ada.untilPixels('#8d3fa0');
  }),
);

test(
  'me5_a_member_that_dies_is_shown_missing_in_the_drawing_and_in_words',
  staged(async (scene) => {
    const server = await scene.server();
    const ada = await scene.person('Ada');
    await ada.create(server, 'plans');
    const link = await ada.invite({ people: '5 people' });
    const [ben, cid] = [scene.agent('ben'), scene.agent('cid')];
    await ben.join(link);
    await cid.join(link);
    await ada.press('button', 'Go on');
    await ada.untilEdges('confirmed', 3);
    await ada.see('img', '3 people present, 3 connections confirmed');
    const pairs = (await ada.edges()).map((words) => /^(\w+) – (\w+): connected$/.exec(words).slice(1).sort().join(' '));
    assert.deepEqual(pairs.sort(), ['You ben', 'You cid', 'ben cid']);

    // Nobody says goodbye.
    await cid.signal('SIGKILL');
    await ada.untilMember('cid', 'away');
    await ada.untilMember('cid', 'last seen');
    await ada.untilEdges('confirmed', 1);
    await ada.untilEdges('gap', 0);
    await ada.see('img', '2 people present, 1 connections confirmed');
    await ben.until('cid is away', async () => (await ben.json('members', 'plans')).some(({ user, online }) => user === 'cid' && !online));
  }),
);

test(
  'cl5_four_browsers_and_eight_agents_are_all_linked_and_write_one_text',
  { timeout: 180_000 },
  staged(async (scene) => {
    const server = await scene.server();
    const agents = ['ann', 'ben', 'cid', 'dan', 'eli', 'fay', 'gus', 'hal'].map((name) => scene.agent(name));
    await agents[0].create('team', server);
    const { link } = await agents[0].invite('team', '--uses', '11');
    const browsers = await Promise.all([scene.person('Ada'), scene.person('Bo'), scene.person('Cy'), scene.inFirefox('Flo')]);
    await Promise.all([agents.slice(1).map((agent) => agent.join(link)), browsers.map((person) => person.join(link))].flat());

    // By everybody's own view: 12 members, 66 links that both ends confirm.
    for (const person of browsers) await person.untilEdges('confirmed', 66);
    for (const agent of agents) {
      await agent.until('66 links', async () => {
        const { edges } = await agent.json('topology', 'team');
        return edges.length === 66 && edges.every(({ state }) => state === 'confirmed');
      });
    }

    // Who types at the same place as others finds letters in between: each browser has a line of its own.
    const lines = browsers.map(({ name }) => `${name}: \n`).join('');
    await agents[0].run('edit', 'team', '--insert', lines);
    for (const person of browsers) await person.untilText(`${browsers.at(-1).name}: \n`);
    const parts = [...agents.map(({ name }) => `<${name}>`), ...browsers.map(({ name }) => `${name}: here\n`)];
    await Promise.all([
      ...agents.map((agent) => agent.run('edit', 'team', '--insert', `<${agent.name}>`)),
      ...browsers.map((person, line) => person.write('here', line)),
    ]);
    for (const part of parts) {
      for (const agent of agents) await agent.untilText('team', part);
      for (const person of browsers) await person.untilText(part);
    }
    const texts = await Promise.all([...agents.map((agent) => agent.text('team')), ...browsers.map((person) => person.text())]);
    assert.equal(new Set(texts).size, 1, [...new Set(texts)].join('\n'));
    assert.equal(texts[0].length, parts.join('').length, 'nothing is there twice');
  }),
);
