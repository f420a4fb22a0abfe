// A document's changes as the core signs them: updates with structs of one client, contiguous, of limited size.

import * as encoding from 'lib0/encoding';
import * as Y from 'yjs';
import { SymbolonError } from './errors.js';

type Struct = Y.Item | Y.GC | Y.Skip;
/** By client, the clocks that are deleted: ascending, disjoint. */
type Deleted = Map<number, { clock: number; len: number }[]>;

/** How far each client's changes are known. */
export type Clocks = Map<number, number>;

/** What of a struct is not its content: ids, a root's name. */
const MARGIN = 1024;

export function clocks(doc: Y.Doc): Clocks {
  return Y.decodeStateVector(Y.encodeStateVector(doc));
}

export function isEmpty(doc: Y.Doc): boolean {
  return doc.store.clients.size === 0 && doc.store.pendingStructs === null && doc.store.pendingDs === null;
}

/**
 * What `doc` has beyond `known`, all of it by `client`, as one update; undefined if there is nothing. Deletions of
 * anything count.
 */
export function beyond(doc: Y.Doc, known: Y.Doc, client: number): Uint8Array | undefined {
  const from = Y.getState(known.store, client);
  const structs = doc.store.clients.get(client) ?? [];
  const first = from < Y.getState(doc.store, client) ? Y.findIndexSS(structs, from) : structs.length;
  const bodies = structs.slice(first).map((struct) => body(struct, Math.max(from - struct.id.clock, 0)));
  const deleted = without(deletions(doc), deletions(known));
  if (bodies.length === 0 && deleted.size === 0) return undefined;
  return update(client, from, bodies, deleted);
}

/**
 * The same changes as updates of at most `limit` bytes each, one after the other. Throws if one value alone is larger.
 */
export function split(whole: Uint8Array, limit: number): Uint8Array[] {
  if (whole.length <= limit) return [whole];
  const { structs, ds } = Y.decodeUpdate(whole) as { structs: Struct[]; ds: { clients: Deleted } };
  const out: Uint8Array[] = [];
  let bodies: Uint8Array[] = [];
  let size = MARGIN;
  let client = 0;
  let from = 0;
  const close = () => {
    if (bodies.length > 0) out.push(update(client, from, bodies, new Map()));
    bodies = [];
    size = MARGIN;
  };
  for (const struct of structs) {
    for (const [id, bytes] of cut(struct, limit - MARGIN)) {
      if (bytes.length > limit - MARGIN) {
        throw new SymbolonError('too_large', `one value of ${bytes.length} bytes is more than a change may have`);
      }
      if (size + bytes.length > limit || (bodies.length > 0 && id.client !== client)) close();
      if (bodies.length === 0) ({ client, clock: from } = id);
      bodies.push(bytes);
      size += bytes.length;
    }
  }
  close();
  // Each range takes 18 bytes at most, with a client of its own 29.
  for (const deleted of portions(ds.clients, Math.floor((limit - MARGIN) / 32))) out.push(update(0, 0, [], deleted));
  return out;
}

/** A struct as pieces of limited size, each encoded. What cannot be cut stays whole. */
function* cut(struct: Struct, limit: number): Generator<[Y.ID, Uint8Array]> {
  // A text of more units than that has more bytes, too: it need not be encoded to know.
  const bytes = struct.length > limit ? undefined : body(struct, 0);
  const large = bytes === undefined || bytes.length > limit;
  const at = large && struct instanceof Y.Item ? firstCut(struct.content, limit - MARGIN) : 0;
  if (at === 0) {
    yield [struct.id, bytes ?? body(struct, 0)];
    return;
  }
  const left = struct as Y.Item;
  const { client, clock } = left.id;
  const rest = left.content.splice(at);
  left.length = at;
  yield [left.id, body(left, 0)];
  const origin = Y.createID(client, clock + at - 1);
  const { rightOrigin, parent, parentSub } = left;
  yield* cut(new Y.Item(Y.createID(client, clock + at), null, origin, null, rightOrigin, parent, parentSub, rest), limit);
}

/** Where to cut content so that what is before fits; 0 if nowhere. */
function firstCut(content: Y.Item['content'], limit: number): number {
  if (content instanceof Y.ContentString) {
    // Whole characters only: Yjs replaces the halves of a surrogate pair that is cut.
    const { read } = new TextEncoder().encodeInto(content.str, new Uint8Array(limit));
    return read < content.str.length ? read : 0;
  }
  if (content instanceof Y.ContentAny) {
    let size = 0;
    const past = content.arr.findIndex((value) => {
      size += encoding.encode((encoder) => encoding.writeAny(encoder, value)).length;
      return size > limit;
    });
    return past === -1 ? 0 : past === 0 && content.arr.length > 1 ? 1 : past;
  }
  return 0;
}

/** A struct as in an update, without its first `offset` clocks. */
function body(struct: Struct, offset: number): Uint8Array {
  const encoder = new Y.UpdateEncoderV1();
  struct.write(encoder, offset);
  return encoding.toUint8Array(encoder.restEncoder);
}

function update(client: number, from: number, bodies: Uint8Array[], deleted: Deleted): Uint8Array {
  return encoding.encode((encoder) => {
    encoding.writeVarUint(encoder, bodies.length === 0 ? 0 : 1);
    if (bodies.length > 0) {
      encoding.writeVarUint(encoder, bodies.length);
      encoding.writeVarUint(encoder, client);
      encoding.writeVarUint(encoder, from);
      for (const bytes of bodies) encoding.writeUint8Array(encoder, bytes);
    }
    encoding.writeVarUint(encoder, deleted.size);
    for (const [of, ranges] of deleted) {
      encoding.writeVarUint(encoder, of);
      encoding.writeVarUint(encoder, ranges.length);
      for (const { clock, len } of ranges) {
        encoding.writeVarUint(encoder, clock);
        encoding.writeVarUint(encoder, len);
      }
    }
  });
}

function deletions(doc: Y.Doc): Deleted {
  return (Y.createDeleteSetFromStructStore(doc.store) as { clients: Deleted }).clients;
}

/** The clocks of `all` that `known` has not. */
function without(all: Deleted, known: Deleted): Deleted {
  const out: Deleted = new Map();
  for (const [client, ranges] of all) {
    const old = known.get(client) ?? [];
    const left: { clock: number; len: number }[] = [];
    let next = 0;
    for (const { clock, len } of ranges) {
      let from = clock;
      const end = clock + len;
      while (next < old.length && old[next]!.clock + old[next]!.len <= from) next++;
      for (let at = next; at < old.length && old[at]!.clock < end; at++) {
        if (old[at]!.clock > from) left.push({ clock: from, len: old[at]!.clock - from });
        from = old[at]!.clock + old[at]!.len;
      }
      if (from < end) left.push({ clock: from, len: end - from });
    }
    if (left.length > 0) out.set(client, left);
  }
  return out;
}

/** Deletions in portions of at most `count` ranges. */
function* portions(all: Deleted, count: number): Generator<Deleted> {
  let portion: Deleted = new Map();
  let size = 0;
  for (const [client, ranges] of all) {
    for (let at = 0; at < ranges.length; ) {
      const taken = ranges.slice(at, at + count - size);
      portion.set(client, taken);
      at += taken.length;
      size += taken.length;
      if (size >= count) {
        yield portion;
        portion = new Map();
        size = 0;
      }
    }
  }
  if (size > 0) yield portion;
}
