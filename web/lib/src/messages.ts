// What tabs and the one host of a home say to each other. The host's own tab speaks the same way, in memory.

import type { MemberStatus, Presence, RoomStatus, ServerStatus, Topology } from './core.js';

/** A room as it is now. */
export interface RoomView {
  id: string;
  name: string;
  members: MemberStatus[];
  servers: ServerStatus[];
  topology: Topology;
  /** Whether some linked member's state is here in full; true as well if nobody is linked. */
  synced: boolean;
}

/** All rooms and servers as they are now. */
export interface HomeView {
  rooms: RoomStatus[];
  servers: ServerStatus[];
}

/** An open document's place in a room: under which client id it writes, and all that is in the room. */
export interface Seat {
  incarnation: number;
  client: number;
  updates: Uint8Array[];
  presence: Presence[];
}

export interface Invitation {
  ticket: string;
  link: string;
  invite: string;
}

/** What can be asked of a host. */
export interface Calls {
  create(name: string, servers: string[]): string;
  join(ticket: string, timeout: number): string;
  invite(room: string, expires: number, uses: number, to: string | undefined): Invitation;
  leave(room: string): void;
  resetLink(room: string, device: string): void;
  view(): HomeView;
  /** From now on this tab hears of the room. */
  open(room: string): RoomView;
  /** Gives an open document a seat; `was` is the incarnation it had, to be had again if possible. */
  sit(room: string, was: number | undefined): Seat;
}

export type Method = keyof Calls;

export type ToHost =
  | { type: 'hello' }
  /** All seats that this tab had with the last host are asked for. */
  | { type: 'settled' }
  | { type: 'call'; id: number; method: Method; args: unknown[] }
  | { type: 'update'; room: string; incarnation: number; update: Uint8Array }
  | { type: 'presence'; room: string; incarnation: number; state: string | undefined }
  | { type: 'rise'; room: string; incarnation: number }
  | { type: 'close_room'; room: string }
  | { type: 'network_changed' }
  | { type: 'tick' };

export type ToTab =
  /** Answers `hello`; also said to all when a host begins. */
  | { type: 'host'; epoch: string; device: string; user: string; deviceName: string }
  | { type: 'answer'; id: number; value: unknown }
  | { type: 'error'; id: number; code: string; message: string }
  /** Checked changes for every open document of the room but the one that made them. */
  | { type: 'apply'; room: string; updates: Uint8Array[]; by?: number }
  /** So many of this seat's updates are stored and on their way. */
  | { type: 'stored'; room: string; incarnation: number; count: number }
  /** The core does not sign what this seat handed over. It hears nothing of it until it sits down again. */
  | { type: 'refused'; room: string; incarnation: number; code: string; message: string }
  /** The seat has to be taken anew, with this incarnation. */
  | { type: 'move'; room: string; was: number; incarnation: number }
  | { type: 'presence'; room: string; states: Presence[] }
  | { type: 'room'; room: string; view: RoomView }
  | { type: 'home'; view: HomeView }
  | { type: 'cut'; room: string; device: string; why: string }
  | { type: 'gone'; room: string }
  /** To a tab that can be seen: send `tick` in so many milliseconds, the host's own timers are slowed down. */
  | { type: 'wake'; after: number }
  /** All that was said before this was heard. */
  | { type: 'echo' }
  /** Nothing works any more. */
  | { type: 'broken'; code: string; message: string };

/** On a channel that all tabs hear. */
export type Envelope = { from: string; message: ToHost } | { to: string; message: ToTab };

/** Addressed to every tab. */
export const ALL = '*';
