// npm Yjs, the bounded check (PROTOCOL §7.3) and `yrs`: what Yjs writes passes, and what passes means the same to both.
//
// SEED=n repeats one run; RUNS=n makes more of them.

import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import * as Y from 'yjs';
import { content, root } from './support/content.mjs';
import { ROOTS, edit, word } from './support/editing.mjs';
import { Random } from './support/random.mjs';
import { load } from './support/vectors.mjs';

const RUNS = Number(process.env.RUNS ?? 60);
const FIRST = Number(process.env.SEED ?? 1);
const SEEDS = Array.from({ length: process.env.SEED === undefined ? RUNS : 1 }, (_, n) => FIRST + n);

/** The origin of transactions that apply what came from others. */
const APPLIED = 'applied';

let wasm;

before(async () => {
  wasm = await load();
});

/** A member with one open document; it has applied what its log has accepted, and nothing else. */
class Author {
  constructor(number) {
    this.member = new wasm.Member(number);
    this.client = this.member.client(0);
    this.inbox = [];
  }

  /** Signs what was written; the frame, or nothing. */
  write() {
    const update = this.collect();
    return update && { client: this.client, update, wire: this.member.write(0, update) };
  }

  /** Takes `count` frames of those that came. */
  receive(count, random) {
    const updates = this.inbox.splice(0, count).flatMap(({ wire }) => this.member.receive(wire));
    if (updates.length > 0) this.apply(updates, random);
  }
}

/** A browser's. */
class Page extends Author {
  constructor(number, random, gc = true) {
    super(number);
    this.doc = new Y.Doc({ gc });
    this.doc.clientID = this.client;
    this.pending = [];
    this.doc.on('update', (update, origin) => {
      if (origin !== APPLIED) this.pending.push(update);
    });
    if (random.oneIn(3)) this.react();
    // What may be undone is not garbage: those without an undo manager send garbage, too.
    const scope = ROOTS.map((name) => root(this.doc, name));
    if (number !== 2) this.undo = new Y.UndoManager(scope, { captureTimeout: random.oneIn(2) ? 0 : 500 });
  }

  /** As an application does that keeps one part of a document in step with another. */
  react() {
    const notes = this.doc.getArray('notes');
    const follow = (_event, { origin }) => {
      if (notes.length < 20 && origin !== 'following') this.doc.transact(() => notes.push(['changed']), 'following');
    };
    this.doc.getText('text:main').observe(follow);
    this.doc.getMap('map:m').observeDeep(follow);
  }

  edit(random) {
    if (this.undo !== undefined && random.oneIn(6)) return void this.undo.undo();
    if (this.undo !== undefined && random.oneIn(8)) return void this.undo.redo();
    const edits = random.oneIn(3) ? 1 + random.below(6) : 1;
    this.doc.transact(() => {
      for (let n = 0; n < edits; n++) edit(this.doc, random);
    });
  }

  apply(updates, random) {
    const apply = () => updates.forEach((update) => Y.applyUpdate(this.doc, update, APPLIED));
    if (random.oneIn(2)) apply();
    else Y.transact(this.doc, apply, APPLIED, false);
    assert.equal(this.doc.clientID, this.client);
    assert.equal(this.doc.store.pendingStructs, null);
  }

  /** What was written since the last time, as one update. */
  collect() {
    const pending = this.pending.splice(0);
    return pending.length > 1 ? Y.mergeUpdates(pending) : pending[0];
  }

  content() {
    return content(this.doc, ROOTS);
  }

  state() {
    return Y.encodeStateAsUpdate(this.doc);
  }
}

/** A native peer's. */
class Terminal extends Author {
  constructor(number) {
    super(number);
    this.doc = new wasm.Native(this.client);
    this.pending = [];
  }

  edit(random) {
    const edits = Array.from({ length: random.oneIn(3) ? 4 : 1 }, () => [
      random.below(13),
      random.below(1000),
      1 + random.below(5),
      word(random),
    ]);
    const update = this.doc.edit(edits);
    if (update !== undefined) this.pending.push(update);
  }

  apply(updates) {
    for (const update of updates) this.doc.apply(update);
  }

  collect() {
    return this.pending.shift();
  }

  content() {
    return native(this.doc);
  }

  state() {
    return this.doc.state();
  }
}

/** What a document of `yrs` has. */
function native(doc) {
  return JSON.parse(doc.content(ROOTS));
}

/** Who is known how far, and what is deleted. */
function extent(state) {
  const { ds } = Y.decodeUpdate(state);
  const deleted = [...ds.clients].map(([client, ranges]) => [client, ranges.map(({ clock, len }) => [clock, len])]);
  const by = ([a], [b]) => a - b;
  return { clocks: [...Y.parseUpdateMeta(state).to].sort(by), deleted: deleted.sort(by) };
}

/** Runs a room in which everybody writes at random; the frames in the order in which they were signed. */
function run(seed, authors, steps, random) {
  const frames = [];
  const write = (author) => {
    for (let frame = author.write(); frame !== undefined; frame = author.write()) {
      frames.push(frame);
      authors.filter((other) => other !== author).forEach((other) => other.inbox.push(frame));
    }
  };
  try {
    for (let step = 0; step < steps; step++) {
      const author = random.pick(authors);
      if (random.oneIn(3)) author.receive(1 + random.below(8), random);
      author.edit(random);
      if (random.oneIn(2)) write(author);
    }
    for (let round = 0; authors.some(({ inbox, pending }) => inbox.length + pending.length > 0); round++) {
      assert.ok(round < 20, 'there is always something more to write');
      authors.forEach((author) => {
        author.receive(Infinity, random);
        write(author);
      });
    }
    const [first, ...others] = authors;
    for (const other of others) {
      assert.deepEqual(other.content(), first.content());
      assert.deepEqual(extent(other.state()), extent(first.state()));
    }
  } catch (error) {
    error.message = `SEED=${seed}: ${error.message}`;
    throw error;
  }
  return frames;
}

/** What kinds of structs and deletions there are in these updates. */
function kinds(frames) {
  const found = new Set();
  for (const { client, update } of frames) {
    const { structs, ds } = Y.decodeUpdate(update);
    for (const struct of structs) found.add(struct.content?.constructor.name ?? struct.constructor.name);
    for (const of of ds.clients.keys()) found.add(of === client ? 'own deleted' : "another's deleted");
    if (structs.length === 0) found.add('deletions only');
    if (structs.some(({ content }) => content instanceof Y.ContentFormat) && ds.clients.size > 0) found.add('formats replaced');
    if (structs.some(({ origin }) => origin && origin.client !== client)) found.add("behind another's");
  }
  return [...found].sort();
}

test('as5_what_yjs_writes_passes_the_check_and_yrs_has_the_same', () => {
  const frames = SEEDS.flatMap((seed) => {
    const random = new Random(seed);
    const reader = new Terminal(4);
    reader.edit = () => {};
    return run(seed, [new Page(1, random), new Page(2, random), new Page(3, random, false), reader], 150, random);
  });
  assert.deepEqual(kinds(frames), [
    "another's deleted",
    "behind another's",
    'ContentAny',
    'ContentBinary',
    'ContentDeleted',
    'ContentEmbed',
    'ContentFormat',
    'ContentString',
    'ContentType',
    'deletions only',
    'formats replaced',
    'GC',
    'own deleted',
  ].sort());
});

test('as5_what_yrs_writes_passes_the_check_and_yjs_has_the_same', () => {
  for (const seed of SEEDS) {
    const random = new Random(seed ^ 0xabcd);
    run(seed, [new Terminal(1), new Page(2, random), new Terminal(3), new Page(4, random)], 150, random);
  }
});

/** The frames of a run, one after the other, in both libraries and in the check. */
class Replay {
  constructor() {
    this.checker = new wasm.Checker();
    this.native = new wasm.Native(1);
    this.doc = new Y.Doc();
    // Yjs removes formats without effect from what came: a change like any other.
    this.doc.on('update', (update, origin) => {
      if (origin === APPLIED) return;
      assert.ok(this.checker.check(this.doc.clientID, update));
      this.native.apply(update);
    });
  }

  take({ client, update }) {
    this.checker.accept(client, update);
    this.native.apply(update);
    Y.applyUpdate(this.doc, update, APPLIED);
  }
}

/** The update with some bytes changed, so that much of it stays as it was. */
function mutated(update, random) {
  const bytes = [...update];
  for (let n = 1 + random.below(3); n > 0; n--) {
    const at = random.below(bytes.length);
    switch (random.below(5)) {
      case 0:
        bytes[at] = random.below(256);
        break;
      case 1:
        bytes[at] = (bytes[at] + random.below(3) - 1) & 255;
        break;
      case 2:
        if (bytes.length > 1) bytes.splice(at, 1);
        break;
      case 3:
        bytes.splice(at, 0, random.below(16));
        break;
      default:
        bytes[at] ^= 1 << random.below(8);
    }
  }
  return new Uint8Array(bytes);
}

test('as5_what_passes_the_check_means_the_same_to_yjs_and_yrs', () => {
  let passed = 0;
  for (const seed of SEEDS) {
    const random = new Random(seed ^ 0x5eed);
    const frames = run(seed, [new Page(1, random), new Page(2, random), new Terminal(3)], 60, random);
    for (let times = 0; times < 6; times++) {
      const at = random.below(frames.length);
      const replay = new Replay();
      frames.slice(0, at).forEach((frame) => replay.take(frame));
      const { client } = frames[at];
      for (let tries = 0; tries < 40; tries++) {
        const update = mutated(frames[at].update, random);
        if (!replay.checker.check(client, update)) continue;
        const case_ = `SEED=${seed} frame ${at} ${client} ${Buffer.from(update).toString('hex')}`;
        try {
          replay.take({ client, update });
        } catch (error) {
          assert.fail(`${case_}: ${error.message}`);
        }
        assert.equal(replay.doc.store.pendingStructs, null, case_);
        assert.deepEqual(native(replay.native), content(replay.doc, ROOTS), case_);
        assert.deepEqual(extent(replay.native.state()), extent(Y.encodeStateAsUpdate(replay.doc)), case_);
        passed += 1;
        break;
      }
    }
  }
  assert.ok(passed > SEEDS.length, `${passed} changed updates passed`);
});
