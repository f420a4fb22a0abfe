// The package in real browsers, with the real server and the real agent.

import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import {
  Agent,
  person,
  Server,
  Site,
  startChromium,
  startFirefox,
  startPersistentChromium,
  temporary,
  until,
} from './support/index.mjs';

let browser;
let site;
let server;

before(async () => {
  [browser, site, server] = await Promise.all([startChromium(), Site.start(), Server.start()]);
});

after(async () => {
  await browser?.close();
  await site?.close();
  await server?.kill();
});

/** A bare page with the package, of somebody new or somebody known. */
async function page(context) {
  const page = await context.newPage();
  await page.goto(`${site.url}/`);
  await until(page, () => window.ready);
  return page;
}

async function someone(test) {
  const context = await person(browser);
  // Counts what is alive of this page's connections.
  await context.addInitScript(() => {
    window.connections = new Set();
    const Original = window.RTCPeerConnection;
    window.RTCPeerConnection = class extends Original {
      constructor(...args) {
        super(...args);
        window.connections.add(this);
      }
    };
    window.live = () => [...window.connections].filter((c) => c.connectionState === 'connected').length;
  });
  test.after(() => context.close());
  return context;
}

function create(page, options = {}) {
  const args = { name: 'plans', servers: [server.url], user: 'ann', ...options };
  return page.evaluate(async (args) => window.use(await S.Room.create(args)), args);
}

function joinRoom(page, ticket, options = { user: 'bob' }) {
  return page.evaluate(async ([ticket, options]) => window.use(await S.Room.join(ticket, options)), [ticket, options]);
}

function reopen(page, room) {
  return page.evaluate(async (room) => window.use(await S.Room.open(room)), room);
}

function invite(page, options = {}) {
  return page.evaluate((options) => window.room.invite(options), options);
}

const textOf = (page) => page.evaluate(() => window.text.toString());
const untilText = (page, expected) => until(page, (expected) => window.text.toString() === expected, expected);
const untilPart = (page, part) => until(page, (part) => window.text.toString().includes(part), part);
const insert = (page, at, what) => page.evaluate(([at, what]) => window.text.insert(at, what), [at, what]);
const append = (page, what) => page.evaluate((what) => window.text.insert(window.text.length, what), what);
const saved = (page) => until(page, () => window.provider.saved);
const linked = (page, count) =>
  until(page, (count) => window.room.members().filter((member) => member.linked).length === count, count);

/** Two people in a room with a text. */
async function pair(test, text = 'hello') {
  const [ann, bob] = [await someone(test), await someone(test)];
  const [a, b] = [await page(ann), await page(bob)];
  const room = await create(a);
  if (text !== '') await insert(a, 0, text);
  const { ticket } = await invite(a);
  await joinRoom(b, ticket);
  return { ann, bob, a, b, room };
}

/** Ends a page's process in the middle of whatever it does. */
async function crash(page) {
  const crashed = new Promise((resolve) => page.once('crash', resolve));
  const session = await page.context().newCDPSession(page);
  // Nobody is left to answer.
  session.send('Page.crash').catch(() => {});
  await crashed;
}

/** The code with which an attempt fails. */
function failure(page, act, argument) {
  return page.evaluate(
    async ([act, argument]) => {
      try {
        await window.attempts[act](...argument);
        return 'it did not fail';
      } catch (error) {
        return error.code;
      }
    },
    [act, argument],
  );
}

describe('browsers', () => {
  test('cl6_a_room_made_in_one_browser_is_joined_by_another_and_the_text_converges', async (t) => {
    const { ann, bob, a, b } = await pair(t);
    assert.equal(await textOf(b), 'hello');
    await append(b, ' world');
    await untilText(a, 'hello world');
    await Promise.all([insert(a, 0, 'a'), insert(b, 0, 'b')]);
    await until(a, () => window.text.length === 13);
    await until(b, () => window.text.length === 13);
    assert.equal(await textOf(a), await textOf(b));
    assert.deepEqual([...ann.troubles, ...bob.troubles], []);
  });

  test('cl6_a_browser_joins_the_room_of_an_agent', async (t) => {
    const agent = new Agent('ag');
    t.after(() => agent.end());
    const room = await agent.create('plans', server);
    await agent.run('edit', room, '--insert', 'from the agent');
    const { link } = await agent.invite(room);
    const b = await page(await someone(t));
    assert.equal(await joinRoom(b, link), room);
    assert.equal(await textOf(b), 'from the agent');
    await insert(b, 0, 'browser, ');
    await agent.untilText(room, 'browser, from the agent');
    await agent.run('edit', room, '--insert', ', again');
    await untilText(b, 'browser, from the agent, again');
    assert.deepEqual(await b.evaluate(() => window.room.members().map(({ user }) => user).sort()), ['ag', 'bob']);
  });

  test('cl6_an_agent_joins_the_room_of_a_browser', async (t) => {
    const agent = new Agent('ag');
    t.after(() => agent.end());
    const a = await page(await someone(t));
    const room = await create(a);
    await insert(a, 0, 'from the browser');
    const { ticket } = await invite(a);
    assert.equal(await agent.join(ticket), room);
    assert.match(await agent.text(room), /^from the browser/);
    await agent.run('edit', room, '--insert', ' and the agent');
    await untilText(a, 'from the browser and the agent');
    await insert(a, 0, 'again ');
    await agent.untilText(room, 'again from the browser and the agent');
  });

  test('cl5_firefox_and_chromium_are_in_one_room', async (t) => {
    const firefox = await startFirefox();
    t.after(() => firefox.close());
    const a = await page(await someone(t));
    await create(a);
    await insert(a, 0, 'chromium');
    const { ticket } = await invite(a);
    const b = await firefox.newPage();
    await b.goto(`${site.url}/`);
    await until(b, () => window.ready);
    await joinRoom(b, ticket);
    assert.equal(await textOf(b), 'chromium');
    await append(b, ' and firefox');
    await untilText(a, 'chromium and firefox');
    // Another tab of that Firefox is the same member, and takes over.
    const b2 = await firefox.newPage();
    await b2.goto(`${site.url}/`);
    await until(b2, () => window.ready);
    await b2.evaluate(async () => window.use(await S.Room.open((await (await S.Peer.open()).rooms())[0].id)));
    assert.equal(await b2.evaluate(() => window.room.peer.leader), false);
    await append(b2, ' twice');
    await untilText(a, 'chromium and firefox twice');
    await b.close();
    await append(b2, ' or once');
    await untilText(a, 'chromium and firefox twice or once');
    assert.equal(await a.evaluate(() => window.room.members().length), 2);
    // The other way round: Firefox founds, Chromium takes the link.
    await b2.evaluate(async (url) => window.use(await S.Room.create({ name: 'more', servers: [url] })), server.url);
    await insert(b2, 0, 'firefox');
    const second = await b2.evaluate(() => window.room.invite());
    const c = await page(await someone(t));
    await joinRoom(c, second.link);
    await append(c, ' and chromium');
    await untilText(b2, 'firefox and chromium');
  });
});

describe('what is stored', () => {
  test('st9_a_reload_continues_with_all_that_was_there', async (t) => {
    const { a, b, room } = await pair(t);
    await append(b, ' there');
    await saved(b);
    await b.reload();
    await until(b, () => window.ready);
    await reopen(b, room);
    assert.equal(await textOf(b), 'hello there');
    await linked(b, 1);
    await append(b, '!');
    await untilText(a, 'hello there!');
    await append(a, '?');
    await untilText(b, 'hello there!?');
  });

  test('st9_what_was_typed_right_before_a_reload_is_not_lost', async (t) => {
    const { a, b, room } = await pair(t, '');
    for (let round = 0; round < 5; round++) {
      await b.evaluate((round) => {
        window.text.insert(window.text.length, '[');
        // The second one waits for more to come when the page ends.
        setTimeout(() => {
          window.text.insert(window.text.length, `${round}]`);
          location.reload();
        });
      }, round);
      await until(b, () => window.ready && !window.room);
      await reopen(b, room);
    }
    await untilText(b, '[0][1][2][3][4]');
    await untilText(a, '[0][1][2][3][4]');
  });

  test('st9_a_browser_started_anew_is_the_same_member', async (t) => {
    const { context, profile } = await startPersistentChromium();
    t.after(() => profile.remove());
    const first = await page(context);
    const room = await create(first);
    await insert(first, 0, 'kept');
    await saved(first);
    const device = await first.evaluate(() => window.room.peer.device);
    await context.close();
    const again = await startPersistentChromium(profile);
    t.after(() => again.context.close());
    const second = await page(again.context);
    await reopen(second, room);
    assert.equal(await textOf(second), 'kept');
    assert.equal(await second.evaluate(() => window.room.peer.device), device);
  });

  test('st9_a_change_is_stored_before_it_is_sent', async (t) => {
    const { a, b } = await pair(t, '');
    const order = await b.evaluate(async () => {
      const order = [];
      const oncomplete = Object.getOwnPropertyDescriptor(IDBTransaction.prototype, 'oncomplete').set;
      Object.defineProperty(IDBTransaction.prototype, 'oncomplete', {
        set(act) {
          oncomplete.call(this, () => {
            order.push('stored');
            act();
          });
        },
      });
      const sent = new Promise((resolve) => {
        const { send } = RTCDataChannel.prototype;
        RTCDataChannel.prototype.send = function (data) {
          send.call(this, data);
          if (data.byteLength < 5000) return;
          order.push('sent');
          resolve();
        };
      });
      window.text.insert(0, 'x'.repeat(5000));
      await sent;
      return order;
    });
    assert.deepEqual(order, ['stored', 'sent']);
    await until(a, () => window.text.length === 5000);
  });

  test('st9_what_cannot_be_stored_is_not_sent_and_said_so', async (t) => {
    const { a, b } = await pair(t, 'x');
    const code = await b.evaluate(async () => {
      const said = new Promise((resolve) => window.room.peer.on('error', resolve));
      IDBObjectStore.prototype.put = () => {
        throw new DOMException('the disk is full', 'QuotaExceededError');
      };
      window.text.insert(1, 'lost');
      return (await said).code;
    });
    assert.equal(code, 'store');
    await linked(a, 0);
    assert.equal(await textOf(a), 'x');
    const refused = await b.evaluate(() => window.room.invite().then(() => '', (error) => error.code));
    assert.equal(refused, 'store');
    assert.equal(await b.evaluate(() => window.provider.saved), false);
  });

  test('st9_a_damaged_store_is_said_so_and_left_alone', async (t) => {
    const { b, room } = await pair(t, 'x');
    const keys = await b.evaluate(async (room) => {
      const peer = await S.Peer.open();
      window.room.close();
      await peer.close();
      const opening = indexedDB.open('symbolon');
      await new Promise((resolve) => (opening.onsuccess = resolve));
      const store = opening.result.transaction('entries', 'readwrite').objectStore('entries');
      const asking = store.getAllKeys();
      const keys = await new Promise((resolve) => (asking.onsuccess = () => resolve(asking.result)));
      await new Promise((resolve) => (store.delete(keys.find((key) => new Uint8Array(key)[33] === 0x67)).onsuccess = resolve));
      opening.result.close();
      return keys.length;
    }, room);
    await b.reload();
    await until(b, () => window.ready);
    const code = await b.evaluate(() => S.Peer.open().then(() => 'opened', (error) => error.code));
    assert.equal(code, 'damaged');
    const left = await b.evaluate(async () => {
      const opening = indexedDB.open('symbolon');
      await new Promise((resolve) => (opening.onsuccess = resolve));
      const asking = opening.result.transaction('entries').objectStore('entries').count();
      return new Promise((resolve) => (asking.onsuccess = () => resolve(asking.result)));
    });
    assert.equal(left, keys - 1);
  });

  test('st8_edits_made_alone_merge_when_they_meet_again', async (t) => {
    const key = temporary('key');
    let own = await Server.start({ key: join(key.path, 'key') });
    t.after(async () => {
      await own.kill();
      rmSync(key.path, { recursive: true });
    });
    const [ann, bob] = [await someone(t), await someone(t)];
    let [a, b] = [await page(ann), await page(bob)];
    const room = await create(a, { servers: [own.url] });
    await insert(a, 0, 'both. ');
    await joinRoom(b, (await invite(a)).ticket);
    // The server goes: the link stays.
    await own.kill();
    await append(a, 'Without a server. ');
    await untilText(b, 'both. Without a server. ');
    // The links go as well: each is alone with what is stored.
    await b.close();
    await linked(a, 0);
    await append(a, 'Ann alone. ');
    await saved(a);
    await a.close();
    b = await page(bob);
    await reopen(b, room);
    assert.equal(await textOf(b), 'both. Without a server. ');
    assert.notEqual(await b.evaluate(() => window.provider.status), 'connected');
    await append(b, 'Bob alone. ');
    await saved(b);
    a = await page(ann);
    await reopen(a, room);
    own = await Server.start({ key: own.key, port: own.port });
    await Promise.all([a, b].map((page) => page.evaluate(() => window.room.peer.networkChanged())));
    await Promise.all([untilPart(a, 'Bob alone. '), untilPart(b, 'Ann alone. ')]);
    assert.equal(await textOf(a), await textOf(b));
    await until(a, () => window.provider.status === 'connected');
  });

  test('st1_a_paste_of_3_mib_arrives_whole', async (t) => {
    const { a, b } = await pair(t, '');
    const sum = (page) =>
      page.evaluate(async () => {
        const bytes = new TextEncoder().encode(window.text.toString());
        const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
        return `${bytes.length} ${digest.join(' ')}`;
      });
    await a.evaluate(() => {
      let paste = '';
      for (let line = 0; paste.length < 3 * 1024 * 1024; line++) paste += `line ${line} with an umlaut ä and 😀\n`;
      window.text.insert(0, paste);
    });
    await append(a, 'the end');
    await untilPart(b, 'the end');
    assert.equal(await sum(b), await sum(a));
    assert.deepEqual(await a.evaluate(() => window.errors), []);
  });

  test('st1_what_was_written_before_the_room_was_open_is_shared', async (t) => {
    const ann = await someone(t);
    const a = await page(ann);
    await a.evaluate(async (url) => {
      const doc = new S.Y.Doc();
      doc.getText('text:main').insert(0, 'early ');
      const room = await S.Room.create({ name: 'plans', servers: [url] });
      const using = window.use(room, { doc });
      doc.getText('text:main').insert(6, 'and not quite');
      await using;
    }, server.url);
    const b = await page(await someone(t));
    await joinRoom(b, (await invite(a)).ticket);
    assert.equal(await textOf(b), 'early and not quite');
    await append(a, ', done');
    await untilText(b, 'early and not quite, done');
    assert.deepEqual(await a.evaluate(() => window.errors), []);
    assert.deepEqual(ann.troubles, []);
  });
});

describe('tabs', () => {
  const memberCount = (page) => page.evaluate(() => window.room.members().length);

  test('st9_two_tabs_share_one_peer_and_the_second_takes_over', async (t) => {
    const { ann, bob, a, b, room } = await pair(t, 'x');
    const second = await page(bob);
    await reopen(second, room);
    assert.equal(await textOf(second), 'x');
    const leaders = (...pages) => Promise.all(pages.map((page) => page.evaluate(() => window.room.peer.leader)));
    assert.deepEqual(await leaders(b, second), [true, false]);
    assert.deepEqual(await Promise.all([b, second].map((page) => page.evaluate(() => window.live()))), [1, 0]);
    await append(second, '2');
    await untilText(b, 'x2');
    await untilText(a, 'x2');
    await append(b, '1');
    await untilText(second, 'x21');
    await append(a, '0');
    await untilText(second, 'x210');
    assert.equal(await memberCount(a), 2);
    const clients = await Promise.all([b, second].map((page) => page.evaluate(() => window.doc.clientID)));
    assert.notEqual(clients[0], clients[1]);
    // What the second writes while nobody leads is not lost.
    await b.close();
    await append(second, ' after');
    await untilText(a, 'x210 after');
    await until(second, () => window.room.peer.leader);
    await linked(second, 1);
    await append(a, ' all');
    await untilText(second, 'x210 after all');
    assert.equal(await memberCount(a), 2);
    assert.equal(await second.evaluate(() => window.doc.clientID), clients[1], 'it goes on as the same writer');
    assert.deepEqual(await second.evaluate(() => window.errors), []);
    assert.deepEqual([...ann.troubles, ...bob.troubles], []);
  });

  test('st9_what_a_tab_wrote_is_handed_over_when_the_leading_tab_dies', async (t) => {
    const { a, b, bob, room } = await pair(t, '');
    const second = await page(bob);
    await reopen(second, room);
    // It writes all the time, and the leader ends without notice in the middle of it.
    await second.evaluate(() => {
      let n = 0;
      const port = new MessageChannel();
      port.port1.onmessage = () => {
        if (n === 400) return;
        window.text.insert(window.text.length, `${n++} `);
        setTimeout(() => port.port2.postMessage(0), 1);
      };
      port.port2.postMessage(0);
    });
    await until(second, () => window.text.length > 300);
    await crash(b);
    const expected = Array.from({ length: 400 }, (_, n) => `${n} `).join('');
    await untilText(second, expected);
    await untilText(a, expected);
    await saved(second);
    await second.reload();
    await until(second, () => window.ready);
    await reopen(second, room);
    assert.equal(await textOf(second), expected);
  });

  test('st9_a_seat_is_kept_for_its_document_when_another_tab_takes_over', async (t) => {
    const { a, b, bob, room } = await pair(t, '');
    // The next in line: as soon as it leads it opens documents of its own.
    const next = await page(bob);
    await next.evaluate(async (id) => {
      const room = await S.Room.open(id);
      room.peer.on('leader', () => {
        window.docs = [1, 2, 3].map(() => new S.Y.Doc());
        window.providers = window.docs.map((doc) => new S.SymbolonProvider(doc, room));
      });
    }, room);
    const writing = await page(bob);
    await reopen(writing, room);
    await append(writing, 'a');
    await untilText(a, 'a');
    const client = await writing.evaluate(() => window.doc.clientID);
    await writing.evaluate(() => {
      // What it writes while nobody leads.
      const channel = new MessageChannel();
      let n = 0;
      channel.port1.onmessage = () => {
        if (n++ < 200) window.text.insert(window.text.length, '.');
        setTimeout(() => channel.port2.postMessage(0));
      };
      channel.port2.postMessage(0);
    });
    await crash(b);
    await until(next, () => window.docs?.every((doc, n) => window.providers[n].synced));
    await untilText(a, `a${'.'.repeat(200)}`);
    assert.equal(await writing.evaluate(() => window.doc.clientID), client);
    const others = await next.evaluate(() => window.docs.map(({ clientID }) => clientID));
    assert.equal(new Set([...others, client]).size, 4);
    await next.evaluate(() => window.docs.forEach((doc, n) => doc.getText('text:main').insert(0, `${n}`)));
    await until(a, () => window.text.length === 204);
    await untilText(writing, await textOf(a));
    for (const n of [0, 1, 2]) {
      assert.equal(await next.evaluate((n) => window.docs[n].getText('text:main').toString(), n), await textOf(a));
    }
  });

  test('st9_the_last_words_of_a_tab_that_is_closed_are_kept', async (t) => {
    const { a, bob, room } = await pair(t, '');
    for (let n = 0; n < 5; n++) {
      const second = await page(bob);
      await reopen(second, room);
      const left = second.waitForURL('about:blank');
      // Not in the evaluation itself: that ends with the page, and its answer with it.
      await second.evaluate((n) => {
        setTimeout(() => {
          window.text.insert(window.text.length, `${n}`);
          location.replace('about:blank');
        });
      }, n);
      await left;
      await untilPart(a, `${n}`);
      await second.close();
    }
  });

  test('cl6_a_leading_tab_that_nobody_sees_does_not_slow_down_the_others', async (t) => {
    const { a, b, bob, room } = await pair(t, '');
    const second = await page(bob);
    await reopen(second, room);
    // As browsers do with tabs in the background.
    await b.evaluate(() => {
      Object.defineProperty(document, 'hidden', { get: () => true });
      const original = window.setTimeout;
      window.setTimeout = (act, after, ...args) => original(act, Math.max(after ?? 0, 20_000), ...args);
    });
    const started = Date.now();
    for (let n = 0; n < 10; n++) await append(second, `${n}`);
    await untilText(a, '0123456789');
    assert.ok(Date.now() - started < 5000, `${Date.now() - started} ms`);
  });

  test('cl6_two_documents_of_one_tab_write_side_by_side', async (t) => {
    const { a, b } = await pair(t, 'x');
    await b.evaluate(async () => {
      window.doc2 = new S.Y.Doc();
      window.provider2 = new S.SymbolonProvider(window.doc2, window.room);
      await window.provider2.whenSynced;
      window.doc2.getText('text:main').insert(1, '2');
    });
    await untilText(b, 'x2');
    await append(b, '1');
    await until(b, () => window.doc2.getText('text:main').toString() === 'x21');
    await untilText(a, 'x21');
  });

  test('st9_a_page_that_comes_back_from_the_cache_goes_on', async (t) => {
    const { a, b } = await pair(t, 'x');
    // Whether a browser keeps a page is its own choice, so the events are made here; what they do is the package's.
    await b.evaluate(() => window.dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true })));
    await linked(a, 0);
    await append(a, 'y');
    await b.evaluate(() => window.text.insert(0, 'w'));
    await b.evaluate(() => window.dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true })));
    await untilText(b, 'wxy');
    await untilText(a, 'wxy');
    await append(b, 'z');
    await untilText(a, 'wxyz');
  });
});

describe('tickets', () => {
  const attempts = (page) =>
    page.evaluate(() => {
      window.attempts = {
        join: (ticket, timeout) => S.Room.join(ticket, { timeout, home: `home-${Math.random()}` }),
        create: (name, servers) => S.Room.create({ name, servers }),
        open: (id) => S.Room.open(id),
        read: async (text) => S.load().then(() => S.readTicket(text)),
      };
    });

  test('cl6_what_is_wrong_with_a_ticket_is_said_by_a_code', async (t) => {
    const { a, room } = await pair(t);
    const c = await page(await someone(t));
    await attempts(c);
    const { ticket, link } = await invite(a);
    const read = await c.evaluate((link) => S.load().then(() => S.readTicket(link)), link);
    assert.deepEqual([read.room, read.servers], [room, [server.url]]);

    assert.equal(await failure(c, 'join', ['nonsense', 1000]), 'malformed_ticket');
    const end = ticket.at(-3) === 'a' ? 'b' : 'a';
    assert.equal(await failure(c, 'join', [ticket.slice(0, -3) + end + ticket.slice(-2), 1000]), 'malformed_ticket');
    assert.equal(await failure(c, 'read', ['nonsense']), 'malformed_ticket');
    const short = await invite(a, { expires: 1000 });
    await until(c, (expires) => Date.now() > expires, short.expires);
    assert.equal(await failure(c, 'join', [short.ticket, 5000]), 'expired');
    const { ticket: others } = await invite(a, { to: await a.evaluate(() => window.room.peer.device) });
    assert.equal(await failure(c, 'join', [others, 5000]), 'not_for_this_device');

    const d = await page(await someone(t));
    await joinRoom(d, ticket);
    assert.match(await failure(c, 'join', [ticket, 3000]), /^(nobody_answered|used)$/);
    assert.equal(await failure(c, 'open', [room]), 'no_such_room');
    assert.equal(await failure(c, 'create', ['plans', ['nonsense']]), 'invalid_request');
  });

  test('cl6_a_server_that_is_not_there_is_named_as_the_cause', async (t) => {
    const own = await Server.start();
    const a = await page(await someone(t));
    await create(a, { servers: [own.url] });
    const { ticket } = await invite(a);
    await own.kill();
    const c = await page(await someone(t));
    await attempts(c);
    assert.equal(await failure(c, 'join', [ticket, 2000]), 'server_unreachable');
    await until(a, () => !window.room.servers()[0].connected && window.room.servers()[0].trouble !== undefined);
  });
});

describe('the provider', () => {
  test('cl6_the_provider_has_the_usual_surface', async (t) => {
    const a = await page(await someone(t));
    await create(a);
    const said = await a.evaluate(async () => {
      const room = window.room;
      const said = [];
      const doc = new S.Y.Doc();
      const provider = new S.SymbolonProvider(doc, room, { connect: false });
      provider.on('status', ({ status }) => said.push(status));
      provider.on('synced', (synced) => said.push(synced));
      provider.on('sync', (synced) => said.push(`sync ${synced}`));
      if (provider.doc !== doc || provider.awareness.doc !== doc || provider.room !== room) throw new Error('members');
      if (provider.synced || provider.status !== 'disconnected') throw new Error('it is not connected yet');
      provider.connect();
      await provider.whenSynced;
      await new Promise((resolve) => {
        if (provider.status === 'connected') resolve();
        provider.on('status', ({ status }) => status === 'connected' && resolve());
      });
      if (!provider.synced || provider.awareness.clientID !== doc.clientID) throw new Error('it is connected');
      provider.disconnect();
      if (provider.synced || provider.status !== 'disconnected') throw new Error('it is disconnected');
      doc.getText('text:main').insert(0, 'apart');
      if (window.text.length !== 0) throw new Error('it was shared');
      provider.connect();
      while (window.text.toString() !== 'apart') await new Promise((resolve) => window.doc.once('update', resolve));
      let destroyed = false;
      provider.awareness.on('destroy', () => (destroyed = true));
      provider.destroy();
      provider.destroy();
      if (destroyed) throw new Error('the awareness is the application’s');
      doc.getText('text:main').insert(0, 'not ');
      doc.destroy();
      window.provider.doc.destroy();
      if (window.provider.status !== 'disconnected') throw new Error('it ends with the document');
      return said;
    });
    const once = ['connecting', 'connected', true, 'sync true'];
    assert.deepEqual(said.filter((word) => once.includes(word)).slice(0, 4).sort(), [...once].sort());
    assert.ok(said.includes('disconnected') && said.includes(false) && said.includes('sync false'));
    // A document under the seat of the one before it.
    await a.evaluate(() => window.use(window.room));
    assert.equal(await textOf(a), 'apart');
  });

  test('st5_who_is_here_is_seen_and_seen_to_go', async (t) => {
    const { a, b, bob, room } = await pair(t);
    const show = (page, name) => page.evaluate((name) => window.provider.awareness.setLocalStateField('user', { name }), name);
    const untilSeen = (page, names) =>
      until(page, (names) => window.seen() === names, names).catch(async (error) => {
        throw new Error(`${names} expected, seen: ${await page.evaluate(() => window.seen())}`, { cause: error });
      });
    const second = await page(bob);
    await reopen(second, room);
    await show(a, 'ann');
    await show(b, 'bob');
    await show(second, 'bob too');
    await untilSeen(a, 'bob,bob too');
    await untilSeen(b, 'ann,bob too');
    await untilSeen(second, 'ann,bob');
    await second.close();
    await untilSeen(a, 'bob');
    await untilSeen(b, 'ann');
    await b.evaluate(() => window.provider.awareness.setLocalState(null));
    await untilSeen(a, '');
    await show(a, 'anna');
    await untilSeen(b, 'anna');
    await b.evaluate(() => window.provider.awareness.setLocalState({ user: { name: 'bob' } }));
    await untilSeen(a, 'bob');
    await b.close();
    await untilSeen(a, '');
  });

  test('st5_a_state_has_the_name_of_the_member_who_signed_it_whatever_it_says', async (t) => {
    const { a, b } = await pair(t);
    const own = await a.evaluate(() => window.room.peer.device);
    await b.evaluate((device) => {
      window.provider.awareness.setLocalState({ user: { name: 'ann', device }, device });
    }, own);
    await until(a, () => window.seen() === 'ann');
    const signers = await a.evaluate(() => {
      const clients = [...window.provider.awareness.getStates().keys()];
      return clients.map((client) => window.provider.memberOf(client)?.device);
    });
    const other = await b.evaluate(() => window.room.peer.device);
    assert.deepEqual(signers.sort(), [other, undefined].sort(), 'and of the own state nothing is said');
  });

  test('cl6_leaving_forgets_the_room', async (t) => {
    const { a, b, room } = await pair(t);
    const closed = await b.evaluate(async () => {
      let closed = false;
      window.room.on('closed', () => (closed = true));
      const peer = await S.Peer.open();
      await window.room.leave();
      return [closed, (await peer.rooms()).length];
    });
    assert.deepEqual(closed, [true, 0]);
    await linked(a, 0);
    await b.reload();
    await until(b, () => window.ready);
    assert.equal(await b.evaluate((room) => S.Room.open(room).then(() => '', (error) => error.code), room), 'no_such_room');
  });
});
