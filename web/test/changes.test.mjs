// What a document hands over, against the core that signs it and other documents that apply it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as Y from 'yjs';
import { split } from '../lib/dist/changes.js';
import { Writer } from '../lib/dist/writer.js';
import { aloneInARoom, CoreTab } from './support/core.mjs';

const LIMIT = 256 * 1024;

/** Numbers from a seed, so that a failure can be repeated. */
function random(seed) {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

function writerOf(doc, place) {
  const tab = new CoreTab(place);
  const failures = [];
  const seated = {};
  seated.promise = new Promise((resolve) => (seated.resolve = resolve));
  const writer = tab.serve(
    new Writer(doc, place.room, tab, {
      seated: () => seated.resolve(),
      saved: () => {},
      failed: (error) => {
        failures.push(error);
        seated.resolve();
      },
    }),
  );
  writer.open();
  return { tab, writer, failures, seated: seated.promise };
}

/** A document with all that the room has. */
function fresh({ core, room }) {
  const doc = new Y.Doc();
  for (const update of core.updates(room)) Y.applyUpdate(doc, update);
  assert.equal(doc.store.pendingStructs, null, 'nothing is missing');
  assert.equal(doc.store.pendingDs, null);
  return doc;
}

function content(doc) {
  return {
    text: doc.getText('text:main').toDelta(),
    list: doc.getArray('array:list').toJSON(),
    map: doc.getMap('map:all').toJSON(),
    tree: doc.getXmlFragment('xml:tree').toString(),
  };
}

/** One change of a kind that editors make. */
function edit(doc, pick) {
  const text = doc.getText('text:main');
  const list = doc.getArray('array:list');
  const map = doc.getMap('map:all');
  const tree = doc.getXmlFragment('xml:tree');
  const word = () => ['a', 'bc', 'é', 'xyz\n'][pick(4)];
  const changes = [
    () => text.insert(pick(text.length + 1), word()),
    () => text.insert(pick(text.length + 1), word(), { bold: pick(2) === 0 }),
    () => text.length > 0 && text.format(pick(text.length), 1, { italic: pick(2) === 0 ? true : null }),
    () => text.length > 0 && text.delete(pick(text.length), 1),
    () => list.insert(pick(list.length + 1), [pick(9), { deep: [pick(9)] }, word()]),
    () => list.insert(pick(list.length + 1), [new Y.Map([['n', pick(9)]])]),
    () => list.insert(pick(list.length + 1), [Uint8Array.of(pick(9))]),
    () => list.length > 0 && list.delete(pick(list.length), 1),
    () => map.set(word(), pick(9)),
    () => map.set(word(), new Y.Text(word())),
    () => map.delete(word()),
    () => {
      const element = new Y.XmlElement('p');
      element.insert(0, [new Y.XmlText(word())]);
      element.setAttribute('class', word());
      tree.insert(pick(tree.length + 1), [element]);
    },
    () => tree.length > 0 && tree.delete(pick(tree.length), 1),
    () => {
      for (const value of list.toArray()) if (value instanceof Y.Map) value.set('m', pick(99));
    },
  ];
  doc.transact(() => {
    for (let n = pick(3); n >= 0; n--) changes[pick(changes.length)]();
  });
}

test('cl6_content_written_before_the_room_was_open_becomes_part_of_it', async () => {
  for (let seed = 1; seed <= 150; seed++) {
    const pick = random(seed);
    const place = await aloneInARoom((seed % 250) + 1);
    if (pick(2) === 0) {
      const before = new Y.Doc();
      const { seated } = writerOf(before, place);
      await seated;
      for (let n = pick(12); n > 0; n--) edit(before, pick);
    }
    const stored = content(fresh(place));
    // Written by several programs that knew each other's part, or not.
    const parts = [new Y.Doc(), new Y.Doc(), new Y.Doc()].slice(0, 1 + pick(3));
    for (let n = pick(30); n > 0; n--) {
      edit(parts[pick(parts.length)], pick);
      if (pick(4) === 0) Y.applyUpdate(parts[0], Y.encodeStateAsUpdate(parts.at(-1)));
      if (pick(4) === 0) Y.applyUpdate(parts.at(-1), Y.encodeStateAsUpdate(parts[0]));
    }
    const doc = parts[0];
    const { tab, writer, failures, seated } = writerOf(doc, place);
    await seated;
    assert.deepEqual([failures, tab.refused], [[], []], `seed ${seed}`);
    assert.deepEqual(content(fresh(place)), content(doc), `seed ${seed}: the room has what the document shows`);
    for (const key of Object.keys(stored.map)) assert.ok(key in content(doc).map, `seed ${seed}: ${key} is kept`);
    // And goes on, with another document beside it.
    const other = fresh(place);
    const second = writerOf(other, place);
    await second.seated;
    assert.notEqual(other.clientID, doc.clientID);
    for (let n = 0; n < 10; n++) {
      const at = content(doc).text.length;
      edit(n % 2 === 0 ? doc : other, pick);
      for (const [from, to] of [
        [tab, second],
        [second.tab, { writer }],
      ]) {
        to.writer.receive({ type: 'apply', updates: from.updates, by: -1 });
      }
      assert.ok(at >= 0);
    }
    assert.deepEqual([tab.refused, second.tab.refused], [[], []], `seed ${seed}`);
    assert.deepEqual(content(doc), content(other), `seed ${seed}: they converge`);
    assert.deepEqual(content(fresh(place)), content(doc), `seed ${seed}`);
  }
});

test('cl6_content_of_others_that_the_application_brings_in_becomes_the_documents_own', async () => {
  const place = await aloneInARoom();
  const doc = new Y.Doc();
  const { tab, writer, seated } = writerOf(doc, place);
  await seated;
  const text = doc.getText('text:main');
  text.insert(0, 'mine ');
  const other = new Y.Doc();
  other.getText('text:main').insert(0, 'theirs ');
  Y.applyUpdate(doc, Y.encodeStateAsUpdate(other));
  // Yjs makes one struct of this and what is signed already.
  text.insert(text.toString().indexOf('mine ') + 5, 'too ');
  text.insert(0, '> ');
  while (writer.seat === undefined) await null;
  assert.deepEqual(tab.refused, []);
  assert.equal(fresh(place).getText('text:main').toString(), text.toString());
  assert.match(text.toString(), /^> (mine too theirs |theirs mine too )$/);
});

test('cl6_a_document_reopened_without_changes_hands_nothing_over', async () => {
  const place = await aloneInARoom();
  const doc = new Y.Doc();
  const first = writerOf(doc, place);
  await first.seated;
  const pick = random(7);
  for (let n = 0; n < 40; n++) edit(doc, pick);
  first.writer.close();
  const again = writerOf(doc, place);
  await again.seated;
  assert.deepEqual(again.tab.updates, []);
  doc.getText('text:main').insert(0, 'on');
  again.writer.close();
  // Written while nobody looked.
  doc.getText('text:main').insert(2, ' and off');
  doc.getText('text:main').delete(0, 1);
  const last = writerOf(doc, place);
  await last.seated;
  assert.deepEqual(content(fresh(place)), content(doc));
});

test('st9_what_was_not_signed_in_time_goes_on_under_another_client_id', async () => {
  const place = await aloneInARoom();
  const doc = new Y.Doc();
  const { tab, writer, seated } = writerOf(doc, place);
  await seated;
  const text = doc.getText('text:main');
  text.insert(0, 'signed');
  const before = writer.seat;
  // The host ends; the next one gives the incarnation to somebody else first. Yjs makes one struct of both words.
  tab.off = true;
  text.insert(6, ' and not');
  text.delete(0, 1);
  place.core.close_writer(place.room, tab.held);
  tab.held = undefined;
  const other = writerOf(new Y.Doc(), place);
  await other.seated;
  other.writer.doc.getText('text:main').insert(6, '!');
  writer.unseat();
  writer.host();
  while (writer.seat === undefined) await null;
  assert.notEqual(writer.seat.client, before.client);
  text.insert(text.length, '?');
  assert.deepEqual(tab.refused, []);
  assert.equal(fresh(place).getText('text:main').toString(), text.toString());
  assert.match(text.toString(), /^igned(!| and not){2}\?$/);
});

test('cl6_what_the_room_refuses_is_undone_and_the_rest_goes_on', async () => {
  const place = await aloneInARoom();
  const doc = new Y.Doc();
  const { tab, writer, failures, seated } = writerOf(doc, place);
  await seated;
  doc.getText('text:main').insert(0, 'good');
  doc.getMap('map:all').set('sub', new Y.Doc());
  doc.getMap('map:all').set('big', new Uint8Array(2 << 20));
  while (writer.seat === undefined || !writer.saved) await null;
  assert.equal(tab.refused.length, 1);
  assert.deepEqual(content(doc).map, {});
  doc.getText('text:main').insert(4, ' and better');
  doc.getMap('map:all').set('big', new Uint8Array(2 << 20));
  await new Promise((resolve) => setImmediate(resolve));
  while (writer.seat === undefined || !writer.saved) await null;
  assert.equal(failures.at(-1).code, 'too_large');
  doc.getText('text:main').insert(0, 'still ');
  assert.equal(doc.getText('text:main').toString(), 'still good and better');
  assert.deepEqual(content(fresh(place)), content(doc));
});

test('st1_a_change_made_while_another_is_shown_is_signed_once', async () => {
  const place = await aloneInARoom();
  const doc = new Y.Doc();
  const { tab, seated } = writerOf(doc, place);
  await seated;
  const text = doc.getText('text:main');
  text.observe(() => text.length < 5 && text.insert(text.length, 'y'));
  text.insert(0, 'x');
  assert.equal(text.toString(), 'xyyyy');
  assert.deepEqual(tab.refused, []);
  assert.equal(fresh(place).getText('text:main').toString(), 'xyyyy');
});

test('st1_large_changes_are_split_without_loss', async () => {
  const place = await aloneInARoom();
  const doc = new Y.Doc();
  const { tab, seated } = writerOf(doc, place);
  await seated;
  const paste = 'ä😀b'.repeat(700_000);
  doc.getText('text:main').insert(0, paste);
  doc.getArray('array:list').insert(0, Array.from({ length: 60_000 }, (_, n) => `number ${n}`));
  const bytes = doc.getArray('array:bytes');
  bytes.insert(
    0,
    Array.from({ length: 20_000 }, (_, n) => Uint8Array.of(n % 2)),
  );
  doc.transact(() => {
    for (let n = 0; n < 10_000; n++) bytes.delete(n, 1);
  });
  assert.ok(tab.updates.length > 15);
  for (const update of tab.updates) assert.ok(update.length <= LIMIT, `${update.length} bytes`);
  assert.deepEqual(tab.refused, []);
  assert.deepEqual(content(fresh(place)), content(doc));
  const left = fresh(place).getArray('array:bytes').toArray();
  assert.deepEqual([left.length, new Set(left.map((value) => value[0]))], [10_000, new Set([1])]);
});

test('st1_split_updates_give_the_same_document', () => {
  for (let seed = 1; seed <= 60; seed++) {
    const pick = random(seed);
    const doc = new Y.Doc();
    const state = () => Y.encodeStateAsUpdate(doc);
    doc.transact(() => {
      for (let n = 0; n < 120; n++) edit(doc, pick);
      doc.getText('text:main').insert(0, 'a😀'.repeat(3000));
      doc.getArray('array:list').insert(
        0,
        Array.from({ length: 2000 }, (_, n) => n),
      );
    });
    const parts = split(state(), 4096);
    assert.ok(parts.length > 3);
    const other = new Y.Doc();
    for (const part of parts) {
      assert.ok(part.length <= 4096);
      Y.applyUpdate(other, part);
      assert.equal(other.store.pendingStructs, null);
    }
    assert.deepEqual(content(other), content(doc));
  }
});
