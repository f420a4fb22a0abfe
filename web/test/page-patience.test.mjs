// Links that open nothing, those who have none, and members that fall silent. All at once: most of the time is waiting
// for answers that do not come.

import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { closeBrowsers, home, staged, ticketOf, withAnotherSeed } from './support/index.mjs';

after(closeBrowsers);

/** Counts every attempt to connect with anybody, before the page's own scripts run. */
function countConnections() {
  globalThis.connections = 0;
  globalThis.RTCPeerConnection = class extends RTCPeerConnection {
    constructor(...given) {
      super(...given);
      globalThis.connections += 1;
    }
  };
}

const connections = (person) => person.hands.run(() => globalThis.connections);

describe('what takes patience', { concurrency: true }, () => {
  test(
    'cl7_a_link_that_lost_a_part_is_said_to_be_incomplete_and_what_to_do',
    staged(async (scene) => {
      const server = await scene.server();
      const ada = await scene.person('Ada');
      await ada.create(server, 'plans');
      const link = await ada.invite();
      const bo = await scene.person('Bo');
      await bo.visit(link.slice(0, -9));
      await bo.introduce();
      const words = await bo.trouble();
      assert.match(words, /This is not a complete invite/);
      assert.match(words, /Copy the whole link again/);
      assert.doesNotMatch(await bo.url(), /symbolon1/);
      await bo.press('button', 'Back to the start');
      // Bo has a name by now, and pastes the whole one.
      await bo.fill('Invite link or ticket', 'hello?');
      await bo.press('button', 'Join', true);
      await bo.says('A part of it is missing or changed');
      await bo.fill('Invite link or ticket', link);
      await bo.press('button', 'Join', true);
      await bo.inRoom();
    }),
  );

  test(
    'cl7_a_used_link_is_said_to_be_used_and_what_to_do',
    staged(async (scene) => {
      const server = await scene.server();
      const ada = await scene.person('Ada');
      await ada.create(server, 'plans');
      const link = await ada.invite();
      const bo = await scene.person('Bo');
      await bo.join(link);
      const cy = await scene.person('Cy');
      await cy.visit(link);
      await cy.introduce();
      await cy.says('No answer yet');
      const words = await cy.trouble();
      // Members are silent to whoever has no place, so this cannot be told from nobody being there.
      assert.match(words, /Nobody answered/);
      assert.match(words, /the invite was used already/);
      assert.match(words, /ask for a new invite/);
      await cy.see('button', 'Try again');
      assert.equal((await ada.members()).length, 2);
      // To whoever used it, it is the way into the room.
      await bo.visit(home(server));
      await bo.visit(link);
      await bo.until(() => location.hash.startsWith('#room/'), undefined, 'the room is shown');
      await bo.inRoom();
    }),
  );

  test(
    'cl7_an_expired_link_is_said_to_be_expired_and_what_to_do',
    staged(async (scene) => {
      const server = await scene.server();
      const ann = scene.agent('ann');
      await ann.create('plans', server);
      const { link, expires_at } = await ann.invite('plans', '--expires', '1s');
      const bo = await scene.person('Bo');
      await bo.visit(link);
      await bo.until((end) => Date.now() > end, Date.parse(expires_at) + 1000, 'the invite ended');
      await bo.introduce();
      const words = await bo.trouble();
      assert.match(words, /This invite has expired/);
      assert.match(words, /Ask the person who sent it for a new one/);
    }),
  );

  test(
    'ad3_no_connection_is_made_for_a_browser_whose_ticket_does_not_fit',
    staged(async (scene) => {
      const server = await scene.server();
      const ada = await scene.person('Ada', { before: countConnections });
      await ada.create(server, 'plans');
      const ticket = ticketOf(await ada.invite());
      const eve = await scene.person('Eve', { before: countConnections });
      await eve.visit(`${home(server)}#${withAnotherSeed(ticket)}`);
      await eve.introduce();
      assert.match(await eve.trouble(), /Nobody answered/);
      assert.equal(await connections(ada), 0, 'nothing of WebRTC exists at the member');
      assert.equal(await connections(eve), 0, 'nor at the stranger: nobody sent it an offer');
      assert.equal((await ada.members()).length, 1);

      const bo = await scene.person('Bo');
      await bo.join(`${home(server)}#${ticket}`);
      await ada.see('heading', 'It fits');
      assert.equal(await connections(ada), 1, 'and connections are counted');
    }),
  );

  test(
    'cl7_a_link_to_a_server_that_is_away_says_so_and_works_when_it_is_back',
    staged(async (scene) => {
      const server = await scene.server();
      const ada = await scene.person('Ada');
      await ada.create(server, 'plans');
      const link = await ada.invite();
      const bo = await scene.person('Bo');
      await bo.visit(link);
      await server.kill();
      await bo.introduce();
      await bo.says('The server cannot be reached yet. Trying again');
      const words = await bo.trouble();
      assert.match(words, /The server cannot be reached/);
      assert.match(words, /Check your network/);
      await scene.again(server);
      await ada.hands.run(() => dispatchEvent(new Event('online')));
      await bo.press('button', 'Try again');
      await bo.inRoom();
      await ada.says('Bo is in the room.');
    }),
  );

  test(
    'me5_a_link_that_one_side_still_claims_is_drawn_and_said_as_such_until_it_is_back',
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

      // As a laptop whose lid is closed: it said nothing, and would still say that it is linked.
      await cid.signal('SIGSTOP');
      scene.after(() => cid.signal('SIGCONT'));
      await ada.untilEdges('claimed', 2, 60_000);
      await ada.see('img', '3 people present, 1 connections confirmed, 2 told by one side only');
      assert.equal((await ada.edges()).filter((words) => words.endsWith(': only cid says so')).length, 2);
      await ada.untilMember('cid', 'connecting…');
      await ada.untilMember('ben', 'connected directly');
      await ben.until('it says so, too', async () => {
        const { edges } = await ben.json('topology', 'plans');
        return edges.filter(({ state }) => state === 'claimed').length === 2;
      });

      await cid.signal('SIGCONT');
      await ada.untilEdges('confirmed', 3, 60_000);
      await ada.untilMember('cid', 'connected directly');
    }),
  );
});
