/**
 * Rooms for people and programs that talk directly, open only to those who were invited, as a Yjs provider.
 *
 *     const room = await Room.join(link);
 *     const doc = new Y.Doc();
 *     const provider = new SymbolonProvider(doc, room);
 */

export { canvas, load, readTicket, type TicketInfo, type WasmSource } from './core.js';
export type { Edge, MemberStatus, RoomStatus, ServerStatus, Stroke, Topology } from './core.js';
export { SymbolonError } from './errors.js';
export { Peer, type PeerEvents, type PeerOptions } from './peer.js';
export { SymbolonProvider, type ProviderEvents, type ProviderOptions, type Status } from './provider.js';
export { Room, type Invite, type InviteOptions, type RoomEvents } from './room.js';
