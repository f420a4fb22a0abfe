import { ObservableV2 } from 'lib0/observable';
import type { MemberStatus, ServerStatus, Topology } from './core.js';
import { SymbolonError } from './errors.js';
import type { RoomView, ToTab } from './messages.js';
import { Peer, type PeerOptions } from './peer.js';
import type { Tab } from './tabs.js';

export interface RoomEvents {
  /** Who is in the room, online or linked changed. */
  members: (members: MemberStatus[]) => void;
  servers: (servers: ServerStatus[]) => void;
  topology: (topology: Topology) => void;
  synced: (synced: boolean) => void;
  /** A member broke the rules: nothing it signs counts any more. */
  cut: (cut: { device: string; why: string }) => void;
  /** This browser left the room, or the room was closed here. */
  closed: () => void;
}

export interface InviteOptions {
  /** How long the ticket holds, in milliseconds. Default: 24 hours. */
  expires?: number;
  /** How many devices may use it. Default: 1. */
  uses?: number;
  /** The only device that may. */
  to?: string;
}

export interface Invite {
  ticket: string;
  /** The same as a link to the page of the room's first server. The secret is in its fragment. */
  link: string;
  /** Milliseconds since 1970. */
  expires: number;
  uses: number;
}

/** What a provider hears of its room. */
export interface RoomListener {
  host(): void;
  interrupted(): void;
  message(message: ToTab): void;
  view(): void;
  closed(): void;
}

const DAY = 24 * 60 * 60 * 1000;

/** A room this browser is a member of. */
export class Room extends ObservableV2<{ [E in keyof RoomEvents]: RoomEvents[E] }> {
  readonly id: string;
  readonly peer: Peer;
  #tab: Tab;
  #view: RoomView;
  #left: () => void;
  #listeners = new Set<RoomListener>();
  #closed = false;
  /** The room was opened by one of the static functions, which hold the peer. */
  #holdsPeer = false;

  /** Founds a room. */
  static create(options: { name: string; servers: string[] } & PeerOptions): Promise<Room> {
    return opened(options, (peer) => peer.create(options));
  }

  /** Joins a room with a ticket or a link. */
  static join(ticket: string, options: { timeout?: number } & PeerOptions = {}): Promise<Room> {
    return opened(options, (peer) => peer.join(ticket, options));
  }

  /** Opens a room this browser is a member of. */
  static open(id: string, options: PeerOptions = {}): Promise<Room> {
    return opened(options, (peer) => peer.open(id));
  }

  /** @internal */
  constructor(peer: Peer, tab: Tab, view: RoomView, left: () => void) {
    super();
    this.id = view.id;
    this.peer = peer;
    this.#tab = tab;
    this.#view = view;
    this.#left = left;
  }

  get name(): string {
    return this.#view.name;
  }

  /** Whether all that the linked members know is here; also true while nobody is linked. */
  get synced(): boolean {
    return this.#view.synced;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Everybody, as last known. */
  members(): MemberStatus[] {
    return this.#view.members;
  }

  /** The room's servers, as last known. */
  servers(): ServerStatus[] {
    return this.#view.servers;
  }

  /** Who is linked with whom, as last known. */
  topology(): Topology {
    return this.#view.topology;
  }

  /** Makes a ticket. Hand it over by a channel you trust: it opens the room to whoever has it. */
  async invite(options: InviteOptions = {}): Promise<Invite> {
    const expires = Date.now() + (options.expires ?? DAY);
    const uses = options.uses ?? 1;
    const { ticket, link } = await this.#tab.call('invite', this.id, expires, uses, options.to);
    return { ticket, link, expires, uses };
  }

  /** Closes the direct connection with a member, which is then set up anew. */
  async resetLink(device: string): Promise<void> {
    await this.#tab.call('resetLink', this.id, device);
  }

  /** Forgets the room and deletes what is stored of it here. */
  async leave(): Promise<void> {
    await this.#tab.call('leave', this.id);
    this.close();
  }

  /** Closes it in this tab. This browser stays a member, and linked as long as a tab is open. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const listener of [...this.#listeners]) listener.closed();
    this.#listeners.clear();
    this.#left();
    this.emit('closed', []);
    this.destroy();
    if (this.#holdsPeer) void this.peer.close();
  }

  /** @internal */
  _attach(listener: RoomListener): Tab {
    if (this.#closed) throw new SymbolonError('closed', 'this room is closed');
    this.#listeners.add(listener);
    return this.#tab;
  }

  /** @internal */
  _detach(listener: RoomListener): void {
    this.#listeners.delete(listener);
  }

  /** @internal */
  _holdPeer(): void {
    this.#holdsPeer = true;
  }

  /** @internal */
  _host(): void {
    this.#tab.call('open', this.id).then(
      (view) => this.#show(view),
      (error: unknown) => {
        if (SymbolonError.from(error).code === 'no_such_room') this.close();
      },
    );
    for (const listener of this.#listeners) listener.host();
  }

  /** @internal */
  _interrupted(): void {
    for (const listener of this.#listeners) listener.interrupted();
  }

  /** @internal */
  _message(message: ToTab): void {
    switch (message.type) {
      case 'room':
        this.#show(message.view);
        return;
      case 'cut':
        this.emit('cut', [{ device: message.device, why: message.why }]);
        return;
      case 'gone':
        this.close();
        return;
      default:
        for (const listener of this.#listeners) listener.message(message);
    }
  }

  #show(view: RoomView): void {
    if (this.#closed) return;
    const before = this.#view;
    this.#view = view;
    const differs = (of: (view: RoomView) => unknown) => JSON.stringify(of(before)) !== JSON.stringify(of(view));
    if (differs(({ members }) => members)) this.emit('members', [view.members]);
    if (differs(({ servers }) => servers)) this.emit('servers', [view.servers]);
    if (differs(({ topology }) => topology)) this.emit('topology', [view.topology]);
    if (before.synced !== view.synced) this.emit('synced', [view.synced]);
    for (const listener of this.#listeners) listener.view();
  }
}

async function opened(options: PeerOptions, open: (peer: Peer) => Promise<Room>): Promise<Room> {
  const peer = await Peer.open(options);
  try {
    const room = await open(peer);
    room._holdPeer();
    return room;
  } catch (error) {
    await peer.close();
    throw error;
  }
}
