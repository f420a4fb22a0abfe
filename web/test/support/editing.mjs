// People who edit a Y.Doc at random, in every way that Yjs has.

import * as Y from 'yjs';
import { root } from './content.mjs';

export const ROOTS = ['text:main', 'array:a', 'map:m', 'xml:x', 'canvas:main', 'text:other', 'notes'];

const WORDS = ['a', 'word ', 'é', '😀', '👩‍👩‍👧', 'x😀y', '\n', '\udc00', '日本', 'a longer stretch of text', '\u0000', '"\\'];

const KEYS = ['k0', 'k1', 'k2', 'é😀', ''];

export const word = (random) => random.pick(WORDS);

/** A plain value of any kind that Yjs takes. */
export function value(random, depth = 0) {
  const plain = [
    null,
    undefined,
    true,
    false,
    0,
    -0,
    1,
    -1,
    63,
    64,
    -64,
    2 ** 31 - 1,
    2 ** 31,
    -(2 ** 31),
    2 ** 53 - 1,
    -(2 ** 53),
    1e19,
    1e300,
    1.5,
    0.1,
    -0.1,
    5e-324,
    NaN,
    Infinity,
    -Infinity,
    0n,
    -5n,
    2n ** 63n - 1n,
    -(2n ** 63n),
    '',
    word(random),
    new Uint8Array(0),
    new Uint8Array([0, 127, 128, 255]),
    new Date(0),
  ];
  if (depth > 3 || !random.oneIn(4)) return random.pick(plain);
  const count = random.below(4);
  if (random.oneIn(2)) return Array.from({ length: count }, () => value(random, depth + 1));
  return Object.fromEntries(Array.from({ length: count }, () => [random.pick(KEYS), value(random, depth + 1)]));
}

/** A value for a list: there Yjs takes bigints, dates and undefined only within another value. */
function element(random) {
  for (;;) {
    const of = value(random);
    if (of !== undefined && typeof of !== 'bigint' && !(of instanceof Date)) return of;
  }
}

/** What formats and embedded objects may have: what JSON can say in every language. */
function json(random, depth = 0) {
  const plain = [null, true, false, 0, -1, 1.5, 1e21, 1e300, 2 ** 53, -(2 ** 60), '', 'x"y\\z', 'é😀', '\u0001\u2028'];
  if (depth > 2 || !random.oneIn(3)) return random.pick(plain);
  if (random.oneIn(2)) return Array.from({ length: random.below(3) }, () => json(random, depth + 1));
  return { [random.pick(KEYS)]: json(random, depth + 1) };
}

function formats(random) {
  const out = { [random.pick(['bold', 'link', 'é'])]: random.pick([true, null, json(random)]) };
  return random.oneIn(3) ? { ...out, italic: true } : out;
}

/** A new shared type, filled or empty. */
function shared(random, depth = 0) {
  const more = () => (depth < 3 && random.oneIn(3) ? shared(random, depth + 1) : element(random));
  switch (random.below(4)) {
    case 0: {
      const text = new Y.Text(random.oneIn(2) ? word(random) : undefined);
      if (random.oneIn(2)) text.insert(0, word(random), formats(random));
      return text;
    }
    case 1:
      return Y.Array.from(Array.from({ length: random.below(4) }, more));
    case 2:
      return new Y.Map(Array.from({ length: random.below(3) }, () => [random.pick(KEYS), more()]));
    default:
      return node(random, depth);
  }
}

function node(random, depth = 0) {
  if (random.oneIn(3)) {
    const text = new Y.XmlText(word(random));
    if (random.oneIn(2)) text.setAttribute('lang', word(random));
    if (random.oneIn(2)) text.format(0, 1, formats(random));
    return text;
  }
  const element = new Y.XmlElement(random.pick(['p', 'h1', 'é']));
  if (random.oneIn(2)) element.setAttribute(random.pick(KEYS), random.pick([word(random), 7, { a: [1] }]));
  const children = depth < 3 ? random.below(3) : 0;
  if (children > 0) element.insert(0, Array.from({ length: children }, () => node(random, depth + 1)));
  return element;
}

/** One edit somewhere in the document. */
export function edit(doc, random) {
  if (random.oneIn(5)) return draw(doc.getArray('canvas:main'), random);
  change(random.oneIn(3) ? inside(doc, random) : root(doc, random.pick(ROOTS.filter((name) => name !== 'canvas:main'))), random);
}

/** A shared type that lies in another, if there is one. */
function inside(doc, random) {
  const found = [];
  const visit = (type) => {
    for (let item = type._start; item !== null; item = item.right) into(item);
    type._map.forEach(into);
  };
  const into = (item) => {
    if (item.deleted || !(item.content instanceof Y.ContentType)) return;
    found.push(item.content.type);
    visit(item.content.type);
  };
  for (const name of ROOTS) visit(root(doc, name));
  return found.length > 0 ? random.pick(found) : doc.getText('text:main');
}

function change(type, random) {
  if (type instanceof Y.Text) write(type, random);
  else if (type instanceof Y.Array) fill(type, random);
  else if (type instanceof Y.Map) assign(type, random);
  else mark(type, random);
}

function place(type, random) {
  const at = random.below(type.length + 1);
  return [at, Math.min(1 + random.below(5), type.length - at)];
}

/**
 * A place in a text. Positions lie between characters, as an editor's: one between the halves of a surrogate pair makes
 * Yjs replace both in this document, and not always in others.
 */
function between(text, random) {
  const units = text.toDelta().map(({ insert }) => (typeof insert === 'string' ? insert : '\ufffc')).join('');
  const inside = (at) => /[\ud800-\udbff]/.test(units[at - 1] ?? '') && /[\udc00-\udfff]/.test(units[at] ?? '');
  const whole = (at) => (inside(at) ? at + 1 : at);
  const [from, length] = place(text, random);
  const at = whole(from);
  return [at, Math.max(whole(from + length) - at, 0)];
}

function write(text, random) {
  const [at, length] = between(text, random);
  switch (random.below(8)) {
    case 0:
    case 1:
      return text.insert(at, word(random));
    case 2:
      return text.insert(at, word(random), formats(random));
    case 3:
      return text.delete(at, length);
    case 4:
      return text.format(at, length, formats(random));
    case 5:
      if (random.oneIn(2)) return text.insertEmbed(at, { [random.pick(KEYS)]: json(random) }, random.oneIn(2) ? formats(random) : undefined);
      return text.insertEmbed(at, shared(random, 2));
    case 6: {
      const delta = [{ retain: at }, random.oneIn(2) ? { delete: length } : { retain: length, attributes: formats(random) }];
      return text.applyDelta([...delta.filter((part) => Object.values(part)[0] > 0), { insert: word(random) }]);
    }
    default:
      if (text instanceof Y.XmlText) return text.setAttribute(random.pick(KEYS), word(random));
      return text.insert(text.length, word(random));
  }
}

function fill(list, random) {
  const [at, length] = place(list, random);
  switch (random.below(5)) {
    case 0:
      return list.delete(at, length);
    case 1:
      return list.insert(at, [shared(random)]);
    case 2:
      return list.push([element(random), element(random), shared(random, 2)]);
    default:
      return list.insert(at, Array.from({ length: 1 + random.below(3) }, () => element(random)));
  }
}

function assign(map, random) {
  const key = random.pick(KEYS);
  switch (random.below(6)) {
    case 0:
      return map.delete(key);
    case 1:
      return random.oneIn(5) ? map.clear() : map.set(key, value(random));
    case 2:
      return map.set(key, shared(random));
    default:
      return map.set(key, value(random));
  }
}

function mark(fragment, random) {
  const [at, length] = place(fragment, random);
  if (fragment instanceof Y.XmlElement && random.oneIn(3)) {
    const key = random.pick(KEYS);
    return random.oneIn(3) ? fragment.removeAttribute(key) : fragment.setAttribute(key, random.pick([word(random), null, 1.5, [2]]));
  }
  if (random.oneIn(3)) return fragment.delete(at, Math.min(length, 2));
  if (fragment.length > 0 && random.oneIn(3)) return fragment.insertAfter(fragment.get(random.below(fragment.length)), [node(random)]);
  fragment.insert(at, [node(random)]);
}

function draw(canvas, random) {
  const [at, length] = place(canvas, random);
  const stroke = () => new Uint8Array(Array.from({ length: random.below(9) }, () => random.below(256)));
  switch (random.below(4)) {
    case 0:
      return canvas.delete(at, length);
    case 1:
      return canvas.insert(at, [stroke(), stroke()]);
    default:
      return canvas.push([stroke()]);
  }
}
