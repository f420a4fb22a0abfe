// Makes content that nobody signed sign-able: gives it ids of this document's own client, in place.
//
// A member may only sign content under its own client ids, one clock after the other. A document can hold other
// content: written before it was given a client id, or brought in by the application (`Y.applyUpdate`). Renumbering
// makes it as if it had been written now, in the order in which it stands: each item gets the next clock, and as its
// origins the neighbours it has. So whoever applies it puts it where it stands here.

import * as Y from 'yjs';
import type { Clocks } from './changes.js';

type Type = Y.AbstractType<unknown>;

/** Whether all beyond `known` is by `client`. */
export function isOwn(doc: Y.Doc, known: Clocks, client: number): boolean {
  for (const [of, structs] of doc.store.clients) {
    if (of !== client && end(structs) > (known.get(of) ?? 0)) return false;
  }
  return true;
}

/** Deletes all content beyond `known`. */
export function discard(doc: Y.Doc, known: Clocks, origin: unknown): void {
  splitAt(doc, known);
  doc.transact((transaction) => {
    for (const [client, structs] of doc.store.clients) {
      for (const struct of [...structs]) {
        if (struct instanceof Y.Item && struct.id.clock >= (known.get(client) ?? 0)) struct.delete(transaction);
      }
    }
  }, origin);
}

/**
 * Gives all content beyond `known` to `client`, and forgets of it what is deleted. All that is known of `client` must
 * be here. Undo managers lose what they have of that content.
 */
export function renumber(doc: Y.Doc, known: Clocks, client: number): void {
  splitAt(doc, known);
  const isKnown = ({ id }: Y.Item) => id.clock < (known.get(id.client) ?? 0);
  const kept: Y.Item[] = [];
  const visit = (type: Type) => {
    if (type._searchMarker !== null) type._searchMarker = [];
    if (type._start !== null) visitList(type, type._start);
    for (const key of [...type._map.keys()].sort()) visitList(type, leftmost(type._map.get(key)!));
  };
  const visitList = (type: Type, first: Y.Item) => {
    const items: Y.Item[] = [];
    for (let item: Y.Item | null = first; item !== null; item = item.right) {
      if (isKnown(item) || !item.deleted) items.push(item);
      else unlink(type, item);
    }
    let right: Y.ID | null = null;
    const rights = items.map(() => null as Y.ID | null);
    for (let at = items.length - 1; at >= 0; at--) {
      rights[at] = right;
      if (isKnown(items[at]!)) right = items[at]!.id;
    }
    items.forEach((item, at) => {
      if (!isKnown(item)) {
        kept.push(item);
        fresh.set(item, rights[at]!);
      }
      if (item.content instanceof Y.ContentType) visit(item.content.type as Type);
    });
  };
  const fresh = new Map<Y.Item, Y.ID | null>();
  for (const name of [...doc.share.keys()].sort()) visit(doc.share.get(name) as Type);

  for (const [of, structs] of doc.store.clients) {
    const signed = structs.filter(({ id }) => id.clock < (known.get(of) ?? 0));
    if (signed.length > 0) doc.store.clients.set(of, signed);
    else doc.store.clients.delete(of);
  }
  const own = doc.store.clients.get(client) ?? [];
  let clock = end(own);
  for (const item of kept) {
    item.id = Y.createID(client, clock);
    clock += item.length;
    item.origin = item.left === null ? null : item.left.lastId;
    item.rightOrigin = fresh.get(item)!;
    item.redone = null;
    own.push(item);
  }
  if (own.length > 0) doc.store.clients.set(client, own);
}

function end(structs: (Y.Item | Y.GC)[]): number {
  const last = structs.at(-1);
  return last === undefined ? 0 : last.id.clock + last.length;
}

function leftmost(item: Y.Item): Y.Item {
  let first = item;
  while (first.left !== null) first = first.left;
  return first;
}

/** Cuts the structs that are known in part. */
function splitAt(doc: Y.Doc, known: Clocks): void {
  for (const [client, structs] of doc.store.clients) {
    const clock = known.get(client) ?? 0;
    if (clock === 0 || clock >= end(structs)) continue;
    const at = Y.findIndexSS(structs, clock);
    const left = structs[at]!;
    const length = clock - left.id.clock;
    if (length === 0) continue;
    if (left instanceof Y.Item) {
      structs.splice(at + 1, 0, splitItem(left, length));
    } else {
      structs.splice(at + 1, 0, new Y.GC(Y.createID(client, clock), left.length - length));
      left.length = length;
    }
  }
}

function splitItem(left: Y.Item, length: number): Y.Item {
  const { client, clock } = left.id;
  const origin = Y.createID(client, clock + length - 1);
  const content = left.content.splice(length);
  const id = Y.createID(client, clock + length);
  const right = new Y.Item(id, left, origin, left.right, left.rightOrigin, left.parent, left.parentSub, content);
  if (left.deleted) right.markDeleted();
  right.keep = left.keep;
  left.length = length;
  if (left.right !== null) left.right.left = right;
  left.right = right;
  const parent = right.parent as Type;
  if (right.parentSub !== null && right.right === null) parent._map.set(right.parentSub, right);
  if (parent._searchMarker !== null) parent._searchMarker = [];
  return right;
}

function unlink(type: Type, item: Y.Item): void {
  if (item.left !== null) item.left.right = item.right;
  else if (item.parentSub === null) type._start = item.right;
  if (item.right !== null) item.right.left = item.left;
  else if (item.parentSub !== null) {
    if (item.left !== null) type._map.set(item.parentSub, item.left);
    else type._map.delete(item.parentSub);
  }
}
