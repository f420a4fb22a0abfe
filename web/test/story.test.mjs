// The story, as people live it: a room is created, others are invited, everybody writes; the server dies; a laptop is
// closed. The real page, served by the real server, in Chromium.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { decodeQR } from 'qr/decode.js';
import { closeBrowsers, home, picture, secretsOf, staged, ticketOf } from './support/index.mjs';

after(closeBrowsers);

test(
  'cl5_from_the_page_to_a_room_of_two_who_see_each_other_write',
  staged(async (scene) => {
    const server = await scene.server();
    const ada = await scene.person('Ada');
    await ada.create(server, 'plans');
    await ada.see('dialog', 'Invite to “plans”');
    const link = await ada.invite();
    assert.ok(link.startsWith(`${home(server)}#symbolon1`), link);
    assert.equal(await ada.copy(), link);

    const bo = await scene.person('Bo');
    await bo.visit(link);
    await bo.see('heading', 'You are invited');
    await bo.introduce();
    await bo.inRoom();
    // Whoever waits with the link in hand is told.
    await ada.see('dialog', 'It fits');
    await ada.says('Bo is in the room.');
    await ada.press('button', 'Go on');

    await ada.write('hello ');
    await bo.untilText('hello ');
    await bo.untilCursor('Ada');
    await bo.write('world');
    await ada.untilText('hello world');
    await ada.untilCursor('Bo');
    assert.deepEqual(await ada.cursors(), ['Bo']);
    assert.deepEqual(await bo.cursors(), ['Ada']);
    await ada.untilMember('Bo', 'invited by Ada');
    await bo.untilMember('Ada', 'connected directly');
    await bo.untilMember('Ada', 'founded the room');
  }),
);

test(
  'cl5_the_secret_of_a_link_stays_out_of_address_history_title_and_every_request',
  staged(async (scene) => {
    const server = await scene.server();
    const ada = await scene.person('Ada');
    await ada.create(server, 'plans');
    const link = await ada.invite();
    const bo = await scene.resident('Bo');
    await bo.join(link);
    await bo.write('in');
    await ada.untilText('in');

    const told = [ada, bo].flatMap(({ hands }) => hands.record.words).join('\n');
    assert.ok(told.includes('"type":"signal"'), 'what was said to the server is known');
    const session = await bo.hands.context.newCDPSession(bo.page);
    const { entries } = await session.send('Page.getNavigationHistory');
    const shown = [await bo.url(), await bo.hands.run(() => `${document.title} ${document.referrer} ${JSON.stringify(history.state)}`)];
    shown.push(...entries.flatMap(({ url, title }) => [url, title]));
    await bo.close();
    // Which pages were visited is kept by browsers before a page can say anything: beyond its reach (docs/THREATS.md).
    const stored = everyFile(bo.profile.path, /^(Local Storage|Session Storage)/);
    assert.ok(stored.length > 2, 'the profile was looked into');
    for (const secret of secretsOf(ticketOf(link))) {
      for (const text of shown) assert.ok(!text.includes(secret), text);
      assert.ok(!told.includes(secret), `what the page says to the server has no part of the ticket (${secret})`);
      for (const [name, text] of stored) assert.ok(!text.includes(secret), `${name} has no part of the ticket (${secret})`);
    }
  }),
);

test(
  'cl5_a_third_pastes_a_ticket_that_the_second_made_while_the_first_is_away',
  staged(async (scene) => {
    const server = await scene.server();
    const ada = await scene.person('Ada');
    await ada.create(server, 'plans');
    const bo = await scene.person('Bo');
    await bo.join(await ada.invite());
    await ada.press('button', 'Go on');
    await ada.write('by Ada');
    await bo.untilText('by Ada');
    await ada.page.close();
    await bo.untilMember('Ada', 'away');

    const ticket = ticketOf(await bo.invite());
    const cy = await scene.person('Cy');
    await cy.paste(server, `Come in: ${ticket} (one person)`);
    await cy.inRoom();
    await cy.untilText('by Ada');
    await cy.untilMember('Ada', 'away');
    await cy.untilMember('Bo', 'connected directly');
    await cy.untilMember('Cy', 'invited by Bo');

    // Ada comes back, and meets somebody who came while she was away.
    const again = await ada.anotherTab();
    await again.visit(`${home(server)}#room/${roomIn(await cy.url())}`);
    await again.untilMember('Cy', 'connected directly');
    await cy.write(', by Cy');
    await again.untilText('by Ada, by Cy');
  }),
);

test(
  'cl5_a_code_on_a_screen_is_read_by_a_camera_and_opens_the_room',
  staged(async (scene) => {
    const server = await scene.server();
    const ada = await scene.person('Ada', { options: { colorScheme: 'dark' } });
    await ada.create(server, 'plans');
    const link = await ada.invite();
    const code = await picture(ada.page, ada.page.getByRole('img', { name: 'QR code of the invite' }));
    assert.equal(decodeQR(code), link);

    // What Ada's screen shows is what Bo's camera sees.
    const bo = await scene.photographer('Bo', code);
    await bo.visit(home(server));
    await bo.fill('Your name', 'Bo');
    await bo.press('button', 'Scan a QR code');
    await bo.inRoom();
    await ada.says('Bo is in the room.');
  }),
);

test(
  'me2_editing_goes_on_with_the_server_killed_and_newcomers_come_in_once_it_is_back',
  staged(async (scene) => {
    const server = await scene.server();
    const ada = await scene.person('Ada');
    await ada.create(server, 'plans');
    const bo = await scene.person('Bo');
    await bo.join(await ada.invite());
    const link = await ada.inviteAnother();
    await ada.write('before; ');
    await bo.untilText('before; ');

    await server.kill();
    await bo.write('after; ');
    await ada.untilText('before; after; ');
    await ada.says('The server cannot be reached');
    await ada.says('You stay connected with those who are here.');
    await ada.says('not reachable');
    await bo.says('The server cannot be reached');
    await ada.write('still');
    await bo.untilText('before; after; still');
    assert.match((await ada.members()).join(), /Bo[^]*connected directly/);

    await scene.again(server);
    const cy = await scene.person('Cy');
    await cy.join(link);
    await cy.untilText('before; after; still');
    await ada.untilMember('Cy', 'connected directly');
    await ada.silent('The server cannot be reached');
  }),
);

test(
  'st9_a_browser_that_was_closed_goes_on_with_its_name_its_rooms_and_its_text',
  staged(async (scene) => {
    const server = await scene.server();
    const ada = await scene.person('Ada');
    await ada.create(server, 'plans');
    const link = await ada.invite();
    const bo = await scene.resident('Bo');
    await bo.join(link);
    await bo.write('one');
    await ada.untilText('one');
    await bo.hands.reload();
    await bo.inRoom();
    await bo.untilText('one');
    await bo.untilMember('Bo', 'this device');
    await bo.write(', two');
    await ada.untilText('one, two');
    await bo.close();
    await ada.untilMember('Bo', 'away');

    const later = await scene.resident('Bo', bo.profile);
    await later.visit(home(server));
    await later.says('You are Bo');
    await later.press('button', 'plans 2 people');
    await later.untilText('one, two');
    await later.write(', three');
    await ada.untilText('one, two, three');
    assert.equal((await ada.members()).length, 2, 'Bo is one member, not two');
  }),
);

test(
  'st8_what_two_wrote_alone_is_merged_when_they_meet',
  staged(async (scene) => {
    const server = await scene.server();
    const ada = await scene.person('Ada');
    await ada.create(server, 'plans');
    const bo = await scene.person('Bo');
    await bo.join(await ada.invite());
    await ada.press('button', 'Go on');
    await ada.write('both|');
    await bo.untilText('both|');
    await ada.kept();
    await ada.page.close();
    await bo.untilMember('Ada', 'away');
    await bo.write('by Bo alone|');
    await bo.kept();
    const room = await bo.url();
    await bo.page.close();
    await server.kill();

    // From what the browser kept of the page.
    const adaAlone = await ada.anotherTab();
    await adaAlone.visit(room);
    await adaAlone.untilText('both|');
    await adaAlone.write('by Ada alone|');
    const boAgain = await bo.anotherTab();
    await boAgain.visit(room);
    await boAgain.untilText('both|by Bo alone|');
    await scene.again(server);
    await adaAlone.untilText('by Bo alone|');
    await boAgain.untilText('by Ada alone|');
    const text = await adaAlone.text();
    assert.equal(text.length, 'both|by Bo alone|by Ada alone|'.length, text);
    assert.equal(await boAgain.text(), text);
  }),
);

test(
  'cl5_two_tabs_are_one_member_and_one_goes_on_when_the_other_is_closed',
  staged(async (scene) => {
    const server = await scene.server();
    const ada = await scene.person('Ada');
    await ada.create(server, 'plans');
    const bo = await scene.person('Bo');
    await bo.join(await ada.invite());
    await ada.press('button', 'Go on');
    const second = await bo.anotherTab();
    await second.visit(await bo.url());
    await second.inRoom();
    await second.untilMember('Ada', 'connected directly');
    await second.write('second tab; ');
    await bo.untilText('second tab; ');
    await ada.untilText('second tab; ');
    await bo.write('first tab; ');
    await second.untilText('first tab; ');
    await ada.untilText('second tab; first tab; ');
    for (const person of [ada, bo, second]) assert.equal((await person.members()).length, 2);

    await bo.page.close();
    await second.write('and on');
    await ada.untilText('and on');
    await ada.write('!');
    await second.untilText('and on!');
    await second.untilMember('Ada', 'connected directly');
    await ada.untilMember('Bo', 'connected directly');
    assert.equal((await ada.members()).length, 2);
  }),
);

test(
  'cl5_who_leaves_a_room_keeps_nothing_of_it',
  staged(async (scene) => {
    const server = await scene.server();
    const ada = await scene.person('Ada');
    await ada.create(server, 'plans');
    const bo = await scene.person('Bo');
    await bo.join(await ada.invite());
    await ada.press('button', 'Go on');
    await bo.write('hello');
    await ada.untilText('hello');
    const address = await bo.url();
    await bo.menu();
    await bo.press('button', 'Leave room…');
    await bo.see('dialog', 'Leave “plans”?');
    await bo.press('button', 'Leave room', true);
    await bo.see('heading', 'Start a room');
    await bo.silent('Your rooms');
    await ada.untilMember('Bo', 'away');
    await ada.untilText('hello');
    await bo.visit(address);
    await bo.hands.reload();
    await bo.says('This browser is not in that room');
  }),
);

function roomIn(address) {
  return /#room\/([\w-]+)$/.exec(address)[1];
}

/** What a browser wrote into its profile, by the name of the file or the directory right below the profile. */
function everyFile(path, names) {
  const files = readdirSync(join(path, 'Default'), { recursive: true, withFileTypes: true });
  return files
    .filter((file) => file.isFile())
    .map((file) => join(file.parentPath, file.name))
    .filter((file) => names.test(file.slice(join(path, 'Default').length + 1)))
    .map((file) => [file, readFileSync(file, 'latin1')]);
}
