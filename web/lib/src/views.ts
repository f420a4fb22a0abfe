// What tabs see of rooms and servers, and which of it changed.

import type { Core, CoreEvent } from './core.js';
import { SymbolonError } from './errors.js';
import type { HomeView, RoomView } from './messages.js';

export class Views {
  #core: Core;
  /** By room, the linked members whose state came in full. */
  #synced = new Map<string, Set<string>>();
  #changedRooms = new Set<string>();
  #homeChanged = false;

  constructor(core: Core) {
    this.#core = core;
  }

  event(event: CoreEvent): void {
    switch (event.type) {
      case 'server':
        this.#serversChanged();
        return;
      case 'synced':
        this.#syncedWith(event.room).add(event.device);
        break;
      case 'link_up':
      case 'link_down':
        this.#syncedWith(event.room).delete(event.device);
        this.#homeChanged = true;
        break;
      case 'ready':
      case 'join_failed':
      case 'member':
        this.#homeChanged = true;
        break;
    }
    this.#changedRooms.add(event.room);
  }

  homeChanged(): void {
    this.#homeChanged = true;
  }

  #serversChanged(): void {
    for (const { id } of this.#core.rooms()) this.#changedRooms.add(id);
    this.#homeChanged = true;
  }

  forget(room: string): void {
    this.#synced.delete(room);
    this.#changedRooms.delete(room);
  }

  /** What changed since the last time, of rooms that are `wanted`. */
  changes(wanted: (room: string) => boolean): { rooms: RoomView[]; home: HomeView | undefined } {
    const known = new Set(this.#changedRooms.size === 0 ? [] : this.#core.rooms().map(({ id }) => id));
    const rooms = [...this.#changedRooms].filter((room) => known.has(room) && wanted(room));
    const home = this.#homeChanged ? this.home() : undefined;
    this.#changedRooms.clear();
    this.#homeChanged = false;
    return { rooms: rooms.map((room) => this.room(room)), home };
  }

  home(): HomeView {
    return { rooms: this.#core.rooms(), servers: this.#core.servers() };
  }

  room(room: string): RoomView {
    const status = this.#core.rooms().find(({ id }) => id === room);
    if (status === undefined) throw new SymbolonError('no_such_room', 'there is no such room here');
    const members = this.#core.members(room);
    const linked = members.filter((member) => member.linked && !member.own);
    const synced = this.#syncedWith(room);
    return {
      id: room,
      name: status.name,
      members,
      servers: this.#core.servers().filter(({ origin }) => status.servers.includes(origin)),
      topology: this.#core.topology(room),
      synced: linked.length === 0 || linked.some(({ device }) => synced.has(device)),
    };
  }

  #syncedWith(room: string): Set<string> {
    let devices = this.#synced.get(room);
    if (devices === undefined) this.#synced.set(room, (devices = new Set()));
    return devices;
  }
}
