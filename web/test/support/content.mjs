// What is in a Y.Doc, the same for the same content whichever library holds it. The half for `yrs` is in
// `web/vectors/src/content.rs`.

import * as Y from 'yjs';

/** The roots by name; names are of the form `KIND:NAME`. */
export function content(doc, roots) {
  const whole = {};
  for (const name of [...roots].sort()) whole[name] = out(root(doc, name));
  return whole;
}

export function root(doc, name) {
  switch (name.split(':')[0]) {
    case 'text':
      return doc.getText(name);
    case 'map':
      return doc.getMap(name);
    case 'xml':
      return doc.getXmlFragment(name);
    default:
      return doc.getArray(name);
  }
}

function out(value) {
  if (value instanceof Y.XmlText) return { attributes: attributes(value), text: text(value) };
  if (value instanceof Y.Text) return { text: text(value) };
  if (value instanceof Y.Array) return { array: value.toArray().map(out) };
  if (value instanceof Y.Map) return { map: members([...value.entries()], out) };
  if (value instanceof Y.XmlElement) {
    return { attributes: attributes(value), children: value.toArray().map(out), element: wellFormed(value.nodeName) };
  }
  if (value instanceof Y.XmlFragment) return { fragment: value.toArray().map(out) };
  return plain(value);
}

const attributes = (type) => members(Object.entries(type.getAttributes()), out);

function members(entries, of) {
  const pairs = entries.map(([key, value]) => [wellFormed(key), of(value)]);
  return Object.fromEntries(pairs.sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Stretches of text and embedded values, each with its formats. */
function text(type) {
  const parts = [];
  for (const { insert, attributes = {} } of type.toDelta()) {
    const formats = members(Object.entries(attributes).filter(([, value]) => value !== null), plain);
    const last = parts.at(-1);
    if (typeof insert !== 'string') {
      parts.push([insert instanceof Y.AbstractType ? out(insert) : { embed: plain(insert) }, formats]);
    } else if (typeof last?.[0] === 'string' && JSON.stringify(last[1]) === JSON.stringify(formats)) {
      last[0] += insert;
    } else {
      parts.push([insert, formats]);
    }
  }
  return parts.map(([insert, formats]) => [typeof insert === 'string' ? wellFormed(insert) : insert, formats]);
}

function plain(value) {
  switch (typeof value) {
    case 'number':
    case 'bigint':
      return { number: bits(Number(value)) };
    case 'string':
      return wellFormed(value);
    case 'boolean':
      return value;
    case 'object':
      if (value === null) return null;
      if (value instanceof Uint8Array) return { bytes: Buffer.from(value).toString('hex') };
      if (Array.isArray(value)) return { list: value.map(plain) };
      return { object: members(Object.entries(value), plain) };
    default:
      return { undefined: true };
  }
}

function bits(number) {
  if (number === 0) return '0';
  if (Number.isNaN(number)) return 'NaN';
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, number);
  return view.getBigUint64(0).toString(16).padStart(16, '0');
}

/** UTF-8 cannot have half a surrogate pair: whoever reads it from an update has U+FFFD instead. */
function wellFormed(text) {
  return text.toWellFormed();
}
