// Keeps one open Y.Doc and its room the same: what is checked goes in, what is written here goes out to be signed.
//
// Content is known to a room or it is not; nothing else is remembered here. Whenever the document is given a seat
// (the first time, after another tab took over, after a page came back from the cache), what it has beyond the
// room is handed over, and what the room has beyond it is applied.

import * as Y from 'yjs';
import { beyond, clocks, isEmpty, split, type Clocks } from './changes.js';
import { SymbolonError } from './errors.js';
import type { Seat, ToTab } from './messages.js';
import { discard, isOwn, renumber } from './renumber.js';
import type { Tab } from './tabs.js';

/** The most bytes of one update. The core refuses those over 1 MiB. */
const MAX_UPDATE = 256 * 1024;

export interface WriterEvents {
  /** The document and the room are the same now, but for what is still to be stored. */
  seated(seat: Seat): void;
  /** Whether all that was written here is stored. */
  saved(saved: boolean): void;
  failed(error: SymbolonError): void;
}

export class Writer {
  readonly doc: Y.Doc;
  readonly room: string;
  #tab: Tab;
  #events: WriterEvents;
  #seat: { incarnation: number; client: number } | undefined;
  /** The incarnation to ask for again. */
  #was: number | undefined;
  /** Counts attempts to be seated: the answer to an earlier one does not count. */
  #attempt = 0;
  #asking = false;
  #open = false;
  #discard = false;
  /** The next clock of the own client that was not handed over. */
  #next = 0;
  #handed = 0;
  #stored = 0;
  /** Of updates that are not stored yet: their number, and the own client's next clock after them. */
  #unstored: { count: number; clock: number }[] = [];
  /** The clocks of the last seat's client that are stored for certain. */
  #safe = { client: 0, clock: 0 };
  #applying = false;
  /** Changes that came before the seat. */
  #early: Uint8Array[] = [];

  constructor(doc: Y.Doc, room: string, tab: Tab, events: WriterEvents) {
    this.doc = doc;
    this.room = room;
    this.#tab = tab;
    this.#events = events;
  }

  get seat(): { incarnation: number; client: number } | undefined {
    return this.#seat;
  }

  /** Whether all that was written here is stored. */
  get saved(): boolean {
    return this.#seat !== undefined && this.#handed === this.#stored;
  }

  open(): void {
    if (this.#open) return;
    this.#open = true;
    this.doc.on('update', this.#updated);
    this.doc.on('afterTransactionCleanup', this.#cleanedUp);
    this.#sit();
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.doc.off('update', this.#updated);
    this.doc.off('afterTransactionCleanup', this.#cleanedUp);
    if (this.#seat !== undefined) {
      // All that was handed over is signed first.
      this.#rise(this.#seat.incarnation);
      this.#safe = { client: 0, clock: 0 };
    }
    this.unseat();
    this.#was = undefined;
    // What is written from now on is nobody's until there is a seat again.
    this.doc.clientID = randomClient();
  }

  /** There is no host any more that knows of the seat. */
  unseat(): void {
    this.#was = this.#seat?.incarnation ?? this.#was;
    this.#seat = undefined;
    this.#attempt += 1;
    this.#asking = false;
    this.#early = [];
  }

  /** There is a host that knows nothing of this document. */
  host(): void {
    if (this.#open && !this.#asking) this.#sit();
  }

  #sit(): void {
    this.unseat();
    this.#asking = true;
    const attempt = this.#attempt;
    this.#tab.call('sit', this.room, this.#was).then(
      (seat) => {
        const wanted = this.#open && seat.incarnation === (this.#seat?.incarnation ?? this.#was);
        if (attempt === this.#attempt) this.#take(seat);
        else if (!wanted) this.#rise(seat.incarnation);
      },
      (error: unknown) => {
        if (attempt !== this.#attempt) return;
        this.#asking = false;
        this.#events.failed(SymbolonError.from(error));
      },
    );
  }

  /** What the others see of whoever writes here. */
  present(state: string | undefined): void {
    if (this.#seat === undefined) return;
    this.#tab.post({ type: 'presence', room: this.room, incarnation: this.#seat.incarnation, state });
  }

  receive(message: ToTab): void {
    switch (message.type) {
      case 'apply':
        if (this.#seat === undefined) this.#early.push(...message.updates);
        else if (message.by !== this.#seat.incarnation) this.#apply(message.updates);
        return;
      case 'stored':
        if (message.incarnation !== this.#seat?.incarnation) return;
        this.#stored = message.count;
        while (this.#unstored[0] !== undefined && this.#unstored[0].count <= message.count) {
          this.#safe.clock = this.#unstored.shift()!.clock;
        }
        if (this.saved) this.#events.saved(true);
        return;
      case 'refused':
        if (message.incarnation !== this.#seat?.incarnation) return;
        this.#events.failed(new SymbolonError(message.code, message.message));
        this.#discard = true;
        this.#sit();
        return;
      case 'move':
        if (message.was !== this.#seat?.incarnation) return;
        this.unseat();
        this.#was = message.incarnation;
        this.#sit();
        return;
    }
  }

  #take(seat: Seat): void {
    const { incarnation, client, updates } = seat;
    this.#asking = false;
    const back = incarnation === this.#was;
    this.#was = incarnation;
    try {
      if (!back) this.#evacuate();
      this.#handed = 0;
      this.#stored = 0;
      const pending = isEmpty(this.doc) ? this.#fill(updates, client) : this.#join(updates, client);
      this.#seat = { incarnation, client };
      this.#setClient(client);
      this.#next = Y.getState(this.doc.store, client);
      this.#unstored = [];
      this.#discard = false;
      if (pending !== undefined) this.#hand(pending);
      this.#apply(this.#early.splice(0));
    } catch (error) {
      this.unseat();
      this.#rise(incarnation);
      this.#events.failed(SymbolonError.from(error));
      return;
    }
    this.#events.seated(seat);
    this.#events.saved(this.saved);
  }

  /**
   * Somebody else may write under the last client id now: what is not stored of it for certain must not be taken for
   * theirs.
   */
  #evacuate(): void {
    const { client, clock } = this.#safe;
    if (Y.getState(this.doc.store, client) > clock) {
      renumber(this.doc, clocks(this.doc).set(client, clock), randomClient());
    }
  }

  #fill(updates: Uint8Array[], client: number): undefined {
    this.doc.clientID = randomClient();
    this.#apply(updates);
    this.#safe = { client, clock: Y.getState(this.doc.store, client) };
  }

  /** Makes the document and the room one; gives what the room lacks. */
  #join(updates: Uint8Array[], client: number): Uint8Array | undefined {
    const room = new Y.Doc();
    applyAll(room, updates, undefined);
    this.doc.clientID = randomClient();
    this.#apply([Y.encodeStateAsUpdate(room, Y.encodeStateVector(this.doc))]);
    const known: Clocks = clocks(room);
    this.#applying = true;
    try {
      if (this.#discard) discard(this.doc, known, this);
      if (this.#discard || !isOwn(this.doc, known, client)) renumber(this.doc, known, client);
    } finally {
      this.#applying = false;
    }
    const pending = beyond(this.doc, room, client);
    this.#safe = { client, clock: Y.getState(room.store, client) };
    room.destroy();
    return pending;
  }

  /** Takes changes that passed the check into the document. */
  #apply(updates: Uint8Array[]): void {
    if (updates.length === 0) return;
    this.#applying = true;
    try {
      applyAll(this.doc, updates, this);
    } finally {
      this.#applying = false;
      if (this.#seat !== undefined) this.#setClient(this.#seat.client);
    }
  }

  /** Yjs takes another client id when it meets its own; it is set back before anything else can be written. */
  #cleanedUp = (): void => {
    if (this.#seat !== undefined) this.#setClient(this.#seat.client);
  };

  #setClient(client: number): void {
    if (this.doc.clientID !== client) this.doc.clientID = client;
  }

  #updated = (update: Uint8Array, origin: unknown, _doc: Y.Doc, transaction: Y.Transaction): void => {
    if (this.#seat === undefined) return;
    if (origin === this && this.#applying) return;
    const { client } = this.#seat;
    for (const [of, clock] of transaction.afterState) {
      if (of !== client && clock !== (transaction.beforeState.get(of) ?? 0)) {
        // The application brought in content of others: it becomes this document's own.
        this.#sit();
        return;
      }
    }
    // A transaction made while another one is cleaned up is in the update of the first one as well.
    const before = transaction.beforeState.get(client) ?? 0;
    const state = Y.encodeStateVector(new Map([[client, this.#next]]));
    const fresh = before < this.#next ? Y.diffUpdate(update, state) : update;
    this.#next = Math.max(this.#next, Y.parseUpdateMeta(update).to.get(client) ?? 0);
    if (isNothing(fresh)) return;
    try {
      this.#hand(fresh);
    } catch (error) {
      this.#events.failed(SymbolonError.from(error));
      this.#discard = true;
      this.#sit();
    }
  };

  #hand(update: Uint8Array): void {
    const { incarnation } = this.#seat!;
    const saved = this.saved;
    for (const part of split(update, MAX_UPDATE)) {
      this.#handed += 1;
      this.#tab.post({ type: 'update', room: this.room, incarnation, update: part });
    }
    this.#unstored.push({ count: this.#handed, clock: this.#next });
    if (saved) this.#events.saved(false);
  }

  #rise(incarnation: number): void {
    this.#tab.post({ type: 'rise', room: this.room, incarnation });
  }
}

function applyAll(doc: Y.Doc, updates: Uint8Array[], origin: unknown): void {
  Y.transact(
    doc,
    () => {
      for (const update of updates) Y.applyUpdate(doc, update, origin);
    },
    origin,
    false,
  );
}

/** No structs and no deletions. */
function isNothing(update: Uint8Array): boolean {
  return update.length === 2 && update[0] === 0 && update[1] === 0;
}

/** As Yjs chooses them itself. Ids that a room gives are larger, with all but certainty. */
function randomClient(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0]!;
}
