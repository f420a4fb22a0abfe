// The host's side of the tabs: who has which rooms and documents open, what they hand over, ask for and hear.

import * as Y from 'yjs';
import type { Core, CoreEvent, Presence } from './core.js';
import { SymbolonError } from './errors.js';
import { ALL, type Calls, type Method, type ToHost, type ToTab } from './messages.js';
import type { Profile } from './store.js';
import { Views } from './views.js';

/** The most bytes of merged local changes in one frame. */
const MAX_UPDATE = 256 * 1024;

export interface DeskSurroundings {
  core: Core;
  profile: Profile;
  /** The tab this host is in. */
  local: string;
  deliver(tab: string, message: ToTab): void;
  /** Tells the core something. */
  input(act: (core: Core) => void): void;
  /** The same, and carries it out within this task if it can. */
  inputNow(act: (core: Core) => void): void;
  /** Does it once everything so far is stored. */
  later(act: () => void): void;
  /** Answers once everything so far is carried out. */
  answer(done: () => void, failed: (error: SymbolonError) => void): void;
}

interface Tab {
  id: string;
  rooms: Set<string>;
}

/** An open document. */
interface Writer {
  tab: string;
  room: string;
  incarnation: number;
  client: number;
  /** Handed over and not yet signed. */
  pending: Uint8Array[];
  /** How many updates it handed over, and how many of them were said to be stored. */
  taken: number;
  stored: number;
  /** What it handed over was refused; it is to sit down again. */
  refused: boolean;
}

interface Joining {
  room: string;
  tab: string;
  id: number;
}

export class Desk {
  readonly epoch = crypto.randomUUID();
  #around: DeskSurroundings;
  #core: Core;
  #device: string;
  #tabs = new Map<string, Tab>();
  #writers = new Map<string, Writer>();
  #joining: Joining[] = [];
  /** Tabs that had seats with the last host, and may want them again. */
  #awaited = new Set<string>();
  /** Asks for seats for those who had none. */
  #queued: (() => void)[] = [];
  #views: Views;
  /** Checked changes of this drain, by room, for the documents of this tab. */
  #applies = new Map<string, Uint8Array[]>();

  constructor(around: DeskSurroundings) {
    this.#around = around;
    this.#core = around.core;
    this.#device = around.core.device();
    this.#views = new Views(around.core);
  }

  /** Tells all tabs that there is a host. The seats that `others` had are theirs. */
  begin(others: string[]): void {
    this.#awaited = new Set(others);
    this.#around.deliver(ALL, this.#hello());
  }

  receive(from: string, message: Exclude<ToHost, { type: 'tick' }>): void {
    const tab = this.#tab(from);
    switch (message.type) {
      case 'hello':
        return this.#around.deliver(from, this.#hello());
      case 'settled':
        return this.#settled(from);
      case 'call':
        if (message.method === 'sit' && message.args[1] === undefined && this.#awaited.size > 0) {
          this.#queued.push(() => this.#call(tab, message.id, message.method, message.args));
          return;
        }
        return this.#call(tab, message.id, message.method, message.args);
      case 'update':
        return this.#update(from, message.room, message.incarnation, message.update);
      case 'presence':
        return this.#setPresence(from, message.room, message.incarnation, message.state);
      case 'rise':
        return this.#rise(from, message.room, message.incarnation);
      case 'close_room':
        tab.rooms.delete(message.room);
        return;
      case 'network_changed':
        return this.#around.input((core) => core.network_changed());
    }
  }

  /** Answers what cannot be done any more. */
  refuse(from: string, message: ToHost, why: SymbolonError): void {
    if (message.type === 'hello') this.#around.deliver(from, { type: 'broken', code: why.code, message: why.message });
    if (message.type === 'call') this.#failed(from, message.id, why);
  }

  broken(why: SymbolonError): void {
    for (const { tab, id } of this.#joining.splice(0)) this.#failed(tab, id, why);
    this.#around.deliver(ALL, { type: 'broken', code: why.code, message: why.message });
  }

  tabGone(tab: string): void {
    this.#settled(tab);
    this.#tabs.delete(tab);
    for (const writer of [...this.#writers.values()]) {
      if (writer.tab === tab) this.#rise(tab, writer.room, writer.incarnation);
    }
  }

  /**
   * Whatever a document had not yet handed over was written under its client id. Nobody else may write under that
   * before it is back, or is known not to come.
   */
  #settled(tab: string): void {
    this.#awaited.delete(tab);
    if (this.#awaited.size === 0) for (const ask of this.#queued.splice(0)) ask();
  }

  // Documents.

  /** A checked change that came from a member. */
  apply(room: string, update: Uint8Array): void {
    if (update.length === 0) return;
    const updates = this.#applies.get(room);
    if (updates === undefined) this.#applies.set(room, [update]);
    else updates.push(update);
  }

  /** The core wants the changes of a room's open documents. */
  collect(room: string): void {
    this.flushApplies();
    for (const writer of this.#writers.values()) {
      if (writer.room === room && !writer.refused) this.#sign(writer);
    }
  }

  collectAll(): void {
    for (const writer of this.#writers.values()) if (!writer.refused) this.#sign(writer);
  }

  /** Gives this tab's documents what was checked. Those of others get it once it is stored. */
  flushApplies(): void {
    for (const [room, updates] of this.#applies) {
      this.#spread(room, (tab) => this.#around.deliver(tab, { type: 'apply', room, updates }));
    }
    this.#applies.clear();
  }

  /** A document has to go on under another client id. */
  move(room: string, was: number, incarnation: number, client: number): void {
    const writer = this.#writers.get(key(room, was));
    if (writer === undefined) return;
    this.#writers.delete(key(room, was));
    this.#writers.set(key(room, incarnation), { ...writer, incarnation, client, pending: [], refused: true });
    this.#around.deliver(writer.tab, { type: 'move', room, was, incarnation });
  }

  #update(from: string, room: string, incarnation: number, update: Uint8Array): void {
    const writer = this.#writers.get(key(room, incarnation));
    if (writer === undefined || writer.tab !== from || writer.refused) return;
    writer.pending.push(update);
    writer.taken += 1;
    this.#around.inputNow((core) => core.local_changed(room));
  }

  #sign(writer: Writer): void {
    if (writer.pending.length === 0) return;
    const { room, incarnation, tab } = writer;
    for (const update of merged(writer.pending.splice(0))) {
      try {
        this.#around.input((core) => core.local_update(room, incarnation, update));
      } catch (error) {
        const { code, message } = SymbolonError.from(error);
        writer.refused = true;
        this.#around.later(() => this.#around.deliver(tab, { type: 'refused', room, incarnation, code, message }));
        return;
      }
      const apply: ToTab = { type: 'apply', room, updates: [update], by: incarnation };
      this.#spread(room, (to) => this.#around.deliver(to, apply));
    }
    const count = writer.taken;
    this.#around.later(() => {
      writer.stored = count;
      this.#around.deliver(tab, { type: 'stored', room, incarnation, count });
    });
  }

  /** To this tab at once, to others that have the room open once everything so far is stored. */
  #spread(room: string, tell: (tab: string) => void): void {
    const local = this.#tabs.get(this.#around.local);
    if (local?.rooms.has(room)) tell(local.id);
    this.#around.later(() => {
      for (const tab of this.#tabs.values()) if (tab.id !== this.#around.local && tab.rooms.has(room)) tell(tab.id);
    });
  }

  #rise(from: string, room: string, incarnation: number): void {
    const writer = this.#writers.get(key(room, incarnation));
    if (writer === undefined || writer.tab !== from) return;
    if (!writer.refused) this.#sign(writer);
    this.#writers.delete(key(room, incarnation));
    try {
      this.#around.input((core) => core.close_writer(room, incarnation));
    } catch {
      // The room is left already.
    }
    this.#shareOwnPresence(writer, undefined);
  }

  // Presence.

  /** What another member's document shows, or no longer shows. */
  presence({ room, device, incarnation, client, clock, state }: { room: string } & Presence): void {
    const shown: Presence = { device, incarnation, client, clock };
    if (state !== undefined) shown.state = state;
    for (const tab of this.#in(room)) this.#around.deliver(tab, { type: 'presence', room, states: [shown] });
  }

  #setPresence(from: string, room: string, incarnation: number, state: string | undefined): void {
    const writer = this.#writers.get(key(room, incarnation));
    if (writer === undefined || writer.tab !== from) return;
    this.#around.input((core) => core.set_presence(room, incarnation, state));
    this.#shareOwnPresence(writer, state);
  }

  /** The other documents of this browser see it as well. */
  #shareOwnPresence({ room, incarnation, client }: Writer, state: string | undefined): void {
    this.presence({
      room,
      device: this.#device,
      incarnation,
      client,
      clock: 0,
      ...(state === undefined ? {} : { state }),
    });
  }

  // Calls.

  #call(tab: Tab, id: number, method: Method, args: unknown[]): void {
    let value: unknown;
    try {
      if (method === 'join') {
        this.#join(tab, id, ...(args as Parameters<Calls['join']>));
        return;
      }
      value = this.#do(tab, method, args);
    } catch (error) {
      this.#failed(tab.id, id, SymbolonError.from(error));
      return;
    }
    this.#around.input(() => {});
    this.#around.answer(
      () => this.#around.deliver(tab.id, { type: 'answer', id, value }),
      (error) => this.#failed(tab.id, id, error),
    );
  }

  #do(tab: Tab, method: Exclude<Method, 'join'>, args: unknown[]): unknown {
    switch (method) {
      case 'create':
        return this.#verb((core) => core.create_room(...(args as Parameters<Calls['create']>)));
      case 'invite':
        return this.#verb((core) => core.invite(...(args as Parameters<Calls['invite']>)));
      case 'leave':
        return this.#leave(...(args as Parameters<Calls['leave']>));
      case 'resetLink':
        return this.#verb((core) => core.reset_link(...(args as Parameters<Calls['resetLink']>)));
      case 'view':
        return this.#views.home();
      case 'open': {
        const view = this.#views.room(...(args as Parameters<Calls['open']>));
        tab.rooms.add(view.id);
        return view;
      }
      case 'sit':
        return this.#sit(tab, ...(args as Parameters<Calls['sit']>));
    }
  }

  #verb<T>(act: (core: Core) => T): T {
    let value: T | undefined;
    this.#around.input((core) => (value = act(core)));
    this.#views.homeChanged();
    return value as T;
  }

  #join(tab: Tab, id: number, ticket: string, timeout: number): void {
    const room = this.#verb((core) => core.join(ticket, timeout));
    this.#joining.push({ room, tab: tab.id, id });
  }

  #leave(room: string): void {
    this.#verb((core) => core.leave(room));
    for (const [at, writer] of this.#writers) if (writer.room === room) this.#writers.delete(at);
    this.#views.forget(room);
    const open = this.#in(room);
    for (const tab of this.#tabs.values()) tab.rooms.delete(room);
    this.#around.later(() => {
      for (const tab of open) this.#around.deliver(tab, { type: 'gone', room });
    });
  }

  #sit(tab: Tab, room: string, was: number | undefined): unknown {
    const held = was === undefined ? undefined : this.#writers.get(key(room, was));
    let seat: { incarnation: number; client: number };
    if (held?.tab === tab.id) seat = held;
    else seat = this.#verb((core) => core.open_writer(room, held === undefined ? was : undefined));
    const { incarnation, client } = seat;
    const writer = { tab: tab.id, room, incarnation, client, pending: [], taken: 0, stored: 0, refused: false };
    this.#writers.set(key(room, incarnation), writer);
    tab.rooms.add(room);
    return { incarnation, client, updates: this.#core.updates(room), presence: this.#core.presence(room) };
  }

  #failed(tab: string, id: number, { code, message }: SymbolonError): void {
    this.#around.deliver(tab, { type: 'error', id, code, message });
  }

  // What is shown.

  event(event: CoreEvent): void {
    switch (event.type) {
      case 'ready':
        this.#joined(event.room, (tab, id) => this.#around.deliver(tab, { type: 'answer', id, value: event.room }));
        break;
      case 'join_failed': {
        const failure = new SymbolonError(event.code, event.message);
        this.#joined(event.room, (tab, id) => this.#failed(tab, id, failure));
        break;
      }
      case 'cut': {
        const { room, device, why } = event;
        for (const tab of this.#in(room)) this.#around.deliver(tab, { type: 'cut', room, device, why });
        break;
      }
    }
    this.#views.event(event);
  }

  /** Tells tabs what changed since the last time. */
  showChanges(): void {
    const { rooms, home } = this.#views.changes((room) => this.#in(room).length > 0);
    for (const view of rooms) {
      for (const tab of this.#in(view.id)) this.#around.deliver(tab, { type: 'room', room: view.id, view });
    }
    if (home === undefined) return;
    for (const tab of this.#tabs.keys()) this.#around.deliver(tab, { type: 'home', view: home });
  }

  /** Other tabs, which may be seen, have timers that are on time. */
  askForWake(after: number): void {
    for (const tab of this.#tabs.keys()) {
      if (tab !== this.#around.local) this.#around.deliver(tab, { type: 'wake', after });
    }
  }

  #joined(room: string, tell: (tab: string, id: number) => void): void {
    const waiting = this.#joining;
    this.#joining = waiting.filter((one) => one.room !== room);
    for (const one of waiting) if (one.room === room) tell(one.tab, one.id);
  }

  #tab(id: string): Tab {
    let tab = this.#tabs.get(id);
    if (tab === undefined) this.#tabs.set(id, (tab = { id, rooms: new Set() }));
    return tab;
  }

  #in(room: string): string[] {
    return [...this.#tabs.values()].filter(({ rooms }) => rooms.has(room)).map(({ id }) => id);
  }

  #hello(): ToTab {
    const { user, device } = this.#around.profile;
    return { type: 'host', epoch: this.epoch, device: this.#device, user, deviceName: device };
  }
}

function key(room: string, incarnation: number): string {
  return `${room}/${incarnation}`;
}

/** In order, neighbours put together as long as they stay small. */
function merged(updates: Uint8Array[]): Uint8Array[] {
  const out: Uint8Array[] = [];
  let group: Uint8Array[] = [];
  let size = 0;
  const close = () => {
    if (group.length > 0) out.push(group.length === 1 ? group[0]! : Y.mergeUpdates(group));
    group = [];
    size = 0;
  };
  for (const update of updates) {
    if (size + update.length > MAX_UPDATE) close();
    group.push(update);
    size += update.length;
  }
  close();
  return out;
}
