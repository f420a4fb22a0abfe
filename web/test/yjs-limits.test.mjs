// What Yjs can write and a room does not take, what means something else to those who read it, and what Yjs does that
// whoever signs its updates has to know (docs/DESIGN.md, Changes).

import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import * as awareness from 'y-protocols/awareness';
import * as Y from 'yjs';
import { content } from './support/content.mjs';
import { load } from './support/vectors.mjs';

let wasm;

before(async () => {
  wasm = await load();
});

/** A member with a Y.Doc. */
function author(number = 1) {
  const member = new wasm.Member(number);
  const doc = new Y.Doc();
  doc.clientID = member.client(0);
  const updates = [];
  doc.on('update', (update, origin) => origin !== 'applied' && updates.push(update));
  const apply = (wire) => member.receive(wire).forEach((update) => Y.applyUpdate(doc, update, 'applied'));
  /** Signs all that was written as one update. */
  const write = () => member.write(0, Y.mergeUpdates(updates.splice(0)));
  return { member, doc, client: member.client(0), updates, apply, write };
}

/** What everybody else has of these updates: the same in both libraries. */
function others(updates, roots) {
  const native = new wasm.Native(1);
  const doc = new Y.Doc();
  for (const update of updates) {
    native.apply(update);
    Y.applyUpdate(doc, update);
  }
  const has = content(doc, roots);
  assert.deepEqual(JSON.parse(native.content(roots)), has);
  return has;
}

const nested = (depth) => (depth === 0 ? 1 : [nested(depth - 1)]);

function deep(map, depth) {
  if (depth > 0) deep(map.set('in', new Y.Map()), depth - 1);
}

const REFUSED = [
  ['a subdocument', 'content is not supported', (doc) => doc.getMap('map:m').set('k', new Y.Doc())],
  ['an XML hook', 'content is not supported', (doc) => doc.getXmlFragment('xml:x').insert(0, [new Y.XmlHook('hook')])],
  ['an embedded half of a surrogate pair', 'embedded JSON is malformed', (doc) => doc.getText('text:main').insertEmbed(0, { a: '\ud83d' })],
  ['a format with half a surrogate pair', 'embedded JSON is malformed', (doc) => doc.getText('text:main').insert(0, 'x', { a: '\ude00' })],
  ['an embedded whole number from 2⁶³ to 2⁶⁴', 'embedded JSON is malformed', (doc) => doc.getText('text:main').insertEmbed(0, { a: 1e19 })],
  ['values 66 deep', 'values or types nest deeper', (doc) => doc.getArray('array:a').push([nested(66)])],
  ['types 66 deep', 'values or types nest deeper', (doc) => deep(doc.getMap('map:m'), 66)],
  ['more than 1 MiB', 'update is larger', (doc) => doc.getText('text:main').insert(0, 'x'.repeat(1 << 20))],
  ['a long root name', 'root name is too long', (doc) => doc.getText(`text:${'x'.repeat(252)}`).insert(0, 'x')],
  ['values in a text', 'does not fit where it is placed', (doc) => doc.getArray('text:main').push([1])],
  ['text among values', 'does not fit where it is placed', (doc) => doc.getText('array:a').insert(0, 'x')],
  ['values among XML nodes', 'does not fit where it is placed', (doc) => doc.getXmlFragment('xml:x').insert(0, [1])],
  ['a list among XML nodes', 'does not fit where it is placed', (doc) => doc.getXmlFragment('xml:x').insert(0, [new Y.Array()])],
  ['text on a canvas', 'does not fit where it is placed', (doc) => doc.getText('canvas:main').insert(0, 'x')],
  ['a stroke over 128 KiB', 'stroke is larger', (doc) => doc.getArray('canvas:main').push([new Uint8Array((128 << 10) + 1)])],
];

test('as5_what_rooms_do_not_carry_is_refused_by_its_author_already', () => {
  for (const [what, why, edit] of REFUSED) {
    const { doc, updates, member } = author();
    doc.getMap('map:other').set('before', 1);
    doc.transact(() => edit(doc));
    doc.getMap('map:other').set('after', 1);
    const [first, update, after, ...more] = updates;
    assert.equal(more.length, 0);
    member.write(0, first);
    assert.throws(() => member.write(0, update), new RegExp(`^Error: .*${why}`), what);
    // The document goes on without the room: each later update has clocks that do not follow.
    assert.throws(() => member.write(0, after), /clocks leave a gap/, what);
  }
});

test('as5_half_a_surrogate_pair_is_a_replacement_character_to_all_others', () => {
  const { doc, updates, member } = author();
  const text = doc.getText('text:main');
  const list = doc.getArray('array:a');
  const map = doc.getMap('map:m');
  text.insert(0, 'a\ud83d');
  text.insert(2, '\ude00b');
  list.push(['\ud83d', { '\ude00': '\ude00' }]);
  map.set('\ud83d', 1);
  updates.forEach((update) => member.write(0, update));
  assert.equal(text.toString(), 'a😀b');
  assert.deepEqual(others(updates, ['text:main', 'array:a', 'map:m']), {
    'array:a': { array: ['�', { object: { '�': '�' } }] },
    'map:m': { map: { '�': { number: '3ff0000000000000' } } },
    'text:main': { text: [['a��b', {}]] },
  });
});

test('as5_a_format_that_json_cannot_say_is_null_to_all_others', () => {
  const { doc, updates, member } = author();
  const text = doc.getText('text:main');
  text.insert(0, 'x', { size: NaN });
  updates.forEach((update) => member.write(0, update));
  assert.deepEqual(text.toDelta(), [{ insert: 'x', attributes: { size: NaN } }]);
  assert.deepEqual(others(updates, ['text:main'])['text:main'], { text: [['x', {}]] });
});

test('as5_an_edit_between_the_halves_of_a_surrogate_pair_replaces_both_everywhere', () => {
  const edits = [
    [(text) => text.insert(2, 'x'), 'a�x�b'],
    [(text) => text.delete(2, 1), 'a�b'],
    [(text) => text.delete(0, 2), '�b'],
  ];
  for (const [edit, expected] of edits) {
    const { doc, updates, member } = author();
    const text = doc.getText('text:main');
    text.insert(0, 'a😀b');
    edit(text);
    updates.forEach((update) => member.write(0, update));
    assert.equal(text.toString(), expected);
    assert.deepEqual(others(updates, ['text:main'])['text:main'], { text: [[expected, {}]] });
  }
  // One that changes nothing is not written, and yet changes the document it was made in.
  const { doc, updates } = author();
  const text = doc.getText('text:main');
  text.insert(0, 'a😀b');
  text.format(2, 1, { bold: null });
  assert.equal(updates.length, 1);
  assert.equal(text.toString(), 'a��b');
  assert.deepEqual(others(updates, ['text:main'])['text:main'], { text: [['a😀b', {}]] });
});

test('as5_formats_that_yjs_cleans_up_are_a_change_of_its_own_and_come_to_rest', () => {
  const [ada, bo] = [author(1), author(2)];
  ada.doc.getText('text:main').insert(0, 'some words here');
  bo.apply(ada.write());
  ada.doc.getText('text:main').format(5, 5, { bold: true });
  bo.doc.getText('text:main').delete(5, 5);
  const [by_ada, by_bo] = [ada.write(), bo.write()];
  ada.apply(by_bo);
  bo.apply(by_ada);
  // Not asked for by anybody: made while applying, with an origin of its own, and without any struct.
  const cleanups = [ada, bo].flatMap(({ updates }) => updates);
  assert.ok(cleanups.length > 0);
  for (const update of cleanups) assert.equal(Y.decodeUpdate(update).structs.length, 0);
  const wires = [ada, bo].map((one) => one.updates.length > 0 && one.write());
  if (wires[1]) ada.apply(wires[1]);
  if (wires[0]) bo.apply(wires[0]);
  assert.deepEqual([ada.updates, bo.updates], [[], []]);
  assert.deepEqual(content(ada.doc, ['text:main']), content(bo.doc, ['text:main']));
  const deleted = ({ doc }) => Y.encodeSnapshot(Y.snapshot(doc));
  assert.deepEqual(deleted(ada), deleted(bo));
});

test('as5_yjs_takes_another_client_id_when_it_is_given_its_own_changes', () => {
  const { doc, updates, client } = author();
  doc.getText('text:main').insert(0, 'stored');
  const reloaded = new Y.Doc();
  const shown = new awareness.Awareness(reloaded);
  shown.destroy();
  reloaded.clientID = client;
  Y.applyUpdate(reloaded, updates[0], 'applied');
  assert.notEqual(reloaded.clientID, client);
  // Whoever sets it afterwards goes on where the chain ends.
  reloaded.clientID = client;
  assert.notEqual(shown.clientID, client, 'an awareness does not follow');
  let next;
  reloaded.once('update', (update) => (next = update));
  reloaded.getText('text:main').insert(6, '!');
  const checker = new wasm.Checker();
  checker.accept(client, updates[0]);
  assert.equal(checker.accept(client, next), 7);
});

test('as5_what_an_observer_writes_is_in_two_updates', () => {
  const { doc, updates, member, client } = author();
  doc.getText('text:main').observe(() => doc.transact(() => doc.getArray('array:a').push([1]), 'observer'));
  doc.getText('text:main').insert(0, 'x');
  const [first, second] = updates;
  member.write(0, first);
  assert.throws(() => member.write(0, second), /clocks leave a gap/);
  const state = Y.encodeStateVector(new Map([[client, Y.parseUpdateMeta(first).to.get(client)]]));
  member.write(0, Y.diffUpdate(second, state));
  new wasm.Member(1).write(0, Y.mergeUpdates(updates));
});

test('as5_updates_with_a_gap_or_of_another_are_refused', () => {
  const { doc, updates, member } = author();
  ['a', 'b', 'c'].forEach((letter) => doc.getText('text:main').insert(0, letter));
  assert.throws(() => member.write(0, Y.mergeUpdates([updates[0], updates[2]])), /clocks leave a gap/);

  const foreign = author(2);
  foreign.doc.getText('text:main').insert(0, 'x');
  const bringing = author(3);
  bringing.doc.transact(() => {
    bringing.doc.getText('text:main').insert(0, 'y');
    Y.applyUpdate(bringing.doc, foreign.updates[0]);
  });
  assert.throws(() => bringing.write(), /structs of another client/);
});

test('as5_client_ids_of_53_bits_and_utf16_positions_work_in_all_of_yjs', () => {
  const [ada, bo] = [author(1), author(2)];
  assert.ok(ada.client > 2 ** 32 && bo.client > 2 ** 32);
  for (const client of [ada.client, Number.MAX_SAFE_INTEGER]) {
    const doc = new Y.Doc();
    doc.clientID = client;
    const text = doc.getText('text:main');
    text.insert(0, 'é😀日本');
    const state = Y.decodeStateVector(Y.encodeStateVector(doc));
    assert.deepEqual([...state], [[client, 5]]);

    const other = new Y.Doc();
    Y.applyUpdate(other, Y.encodeStateAsUpdate(doc));
    Y.applyUpdateV2(other, Y.encodeStateAsUpdateV2(doc));
    text.insert(3, 'x');
    Y.applyUpdate(other, Y.encodeStateAsUpdate(doc, Y.encodeStateVector(other)));
    assert.equal(other.getText('text:main').toString(), 'é😀x日本');
    assert.ok(Y.equalSnapshots(Y.decodeSnapshot(Y.encodeSnapshot(Y.snapshot(doc))), Y.snapshot(other)));

    for (const assoc of [0, -1]) {
      const position = Y.createRelativePositionFromTypeIndex(text, 4, assoc);
      const ways = [
        Y.decodeRelativePosition(Y.encodeRelativePosition(position)),
        Y.createRelativePositionFromJSON(JSON.parse(JSON.stringify(position))),
      ];
      for (const way of ways) {
        assert.deepEqual([way.item, way.assoc], [position.item, assoc]);
        assert.equal(Y.createAbsolutePositionFromRelativePosition(way, other).index, 4);
      }
    }

    const undo = new Y.UndoManager(text, { captureTimeout: 0 });
    text.delete(0, 3);
    undo.undo();
    assert.equal(text.toString(), 'é😀x日本');
    undo.redo();
    assert.equal(text.toString(), 'x日本');
    Y.applyUpdate(other, Y.encodeStateAsUpdate(doc, Y.encodeStateVector(other)));
    assert.equal(other.getText('text:main').toString(), 'x日本');

    const here = new awareness.Awareness(doc);
    const there = new awareness.Awareness(other);
    here.setLocalState({ cursor: 4 });
    awareness.applyAwarenessUpdate(there, awareness.encodeAwarenessUpdate(here, [client]), 'applied');
    assert.deepEqual(there.states.get(client), { cursor: 4 });
    awareness.removeAwarenessStates(there, [client], 'gone');
    assert.ok(!there.states.has(client));
    here.destroy();
    there.destroy();
  }
});

test('as5_how_long_the_check_of_a_keystroke_takes', (t) => {
  const { doc, updates, client } = author();
  const text = doc.getText('text:main');
  for (let n = 0; n < 10_000; n++) text.insert(n, String.fromCharCode(97 + (n % 26)));
  const timed = (what, each, count = updates.length) => {
    const from = process.cpuUsage();
    updates.slice(0, count).forEach(each);
    const { user, system } = process.cpuUsage(from);
    t.diagnostic(`${what}: ${((user + system) / count).toFixed(1)} µs of processor an update`);
  };
  const checker = new wasm.Checker();
  timed('checked', (update) => checker.accept(client, update));
  const wires = [];
  const [writing, reading] = [new wasm.Member(1), new wasm.Member(2)];
  timed('signed and checked', (update) => wires.push(writing.write(0, update)), 1000);
  timed('signature verified and checked', (_, n) => assert.equal(reading.receive(wires[n]).length, 1), 1000);
  const other = new Y.Doc();
  timed('applied by Yjs', (update) => Y.applyUpdate(other, update));
  assert.equal(other.getText('text:main').length, 10_000);
});
