import { ObservableV2 } from 'lib0/observable';
import type { RoomStatus, ServerStatus, WasmSource } from './core.js';
import { deferred } from './deferred.js';
import { SymbolonError } from './errors.js';
import type { HomeView, ToTab } from './messages.js';
import { Room } from './room.js';
import { Tab } from './tabs.js';

export interface PeerOptions {
  /** The name of the database in which this browser keeps its key and its rooms. Default: `symbolon`. */
  home?: string;
  /** The user's name that other members see. Counts at a home's first visit only. */
  user?: string;
  /** The device's name that other members see. Counts at a home's first visit only. */
  deviceName?: string;
  /** Where the wasm file is, if not beside this module, or its bytes. */
  wasm?: WasmSource;
}

export interface PeerEvents {
  /** The list of rooms, their names or sizes changed. */
  rooms: (rooms: RoomStatus[]) => void;
  /** A server can or cannot be reached. */
  servers: (servers: ServerStatus[]) => void;
  /** Whether this tab holds the connections. */
  leader: (leader: boolean) => void;
  /** What is stored cannot be read or written; nothing works any more until the page is loaded anew. */
  error: (error: SymbolonError) => void;
  closed: () => void;
}

/** A wall clock that ran so many milliseconds ahead of the other one: the machine slept. */
const SLEPT = 20_000;
const LOOK = 10_000;

interface Entry {
  peer: Promise<Peer>;
  holders: number;
}

const peers = new Map<string, Entry>();

/**
 * This browser as a member of rooms. All tabs of a home are one peer: one of them holds the connections, and when it
 * ends another takes over.
 */
export class Peer extends ObservableV2<{ [E in keyof PeerEvents]: PeerEvents[E] }> {
  readonly home: string;
  /** This device's id. */
  device = '';
  user = '';
  deviceName = '';
  /** Whether this tab holds the connections. */
  leader = false;
  #tab: Tab;
  #rooms = new Set<Room>();
  #begun = deferred();
  #broken: SymbolonError | undefined;
  #closed = false;
  #look: ReturnType<typeof setInterval> | undefined;

  /** Opens the home. Within one tab, opening it again gives the same peer; it ends when each was closed. */
  static async open(options: PeerOptions = {}): Promise<Peer> {
    const home = options.home ?? 'symbolon';
    let entry = peers.get(home);
    if (entry === undefined) {
      const peer = new Peer(home, options);
      entry = { peer: peer.#start().then(() => peer), holders: 0 };
      peers.set(home, entry);
    }
    entry.holders += 1;
    try {
      return await entry.peer;
    } catch (error) {
      if (peers.get(home) === entry) peers.delete(home);
      throw error;
    }
  }

  private constructor(home: string, options: PeerOptions) {
    super();
    this.home = home;
    const { user = 'somebody', deviceName = browser(), wasm } = options;
    this.#tab = new Tab(
      { home, user, deviceName, ...(wasm === undefined ? {} : { wasm }) },
      {
        message: (message) => this.#message(message),
        host: (leader) => this.#host(leader),
        interrupted: () => {
          for (const room of this.#rooms) room._interrupted();
        },
      },
    );
  }

  /** Founds a room; its members find each other at these servers (`wss://HOST[:PORT]`). */
  async create(options: { name: string; servers: string[] }): Promise<Room> {
    return this.open(await this.#tab.call('create', options.name, options.servers));
  }

  /** Joins a room with a ticket or a link. Ends once admitted and in sync. */
  async join(ticket: string, options: { timeout?: number } = {}): Promise<Room> {
    return this.open(await this.#tab.call('join', ticket.trim(), options.timeout ?? 30_000));
  }

  /** A room this browser is a member of. */
  async open(id: string): Promise<Room> {
    this.#usable();
    const view = await this.#tab.call('open', id);
    const room = new Room(this, this.#tab, view, () => {
      this.#rooms.delete(room);
      const others = [...this.#rooms].some((other) => other.id === id);
      if (!others) this.#tab.post({ type: 'close_room', room: id });
    });
    this.#rooms.add(room);
    return room;
  }

  async rooms(): Promise<RoomStatus[]> {
    return (await this.#view()).rooms;
  }

  async servers(): Promise<ServerStatus[]> {
    return (await this.#view()).servers;
  }

  /** Forgets a room and deletes what is stored of it here. */
  async leave(id: string): Promise<void> {
    await this.#tab.call('leave', id);
  }

  /** Whatever waits to connect tries again at once. */
  networkChanged(): void {
    this.#tab.post({ type: 'network_changed' });
  }

  /** Ends it, if each `open` of this home was followed by one of these. Documents keep what they have. */
  async close(): Promise<void> {
    const entry = peers.get(this.home);
    if (entry === undefined || this.#closed || --entry.holders > 0) return;
    this.#closed = true;
    peers.delete(this.home);
    for (const room of [...this.#rooms]) room.close();
    this.#listen(false);
    await this.#tab.stop();
    this.emit('closed', []);
    this.destroy();
  }

  async #start(): Promise<void> {
    this.#tab.start();
    this.#listen(true);
    try {
      await this.#begun.promise;
    } catch (error) {
      this.#listen(false);
      void this.#tab.stop();
      throw error;
    }
  }

  #usable(): void {
    if (this.#broken !== undefined) throw this.#broken;
    if (this.#closed) throw new SymbolonError('closed', 'this peer is closed');
  }

  #view(): Promise<HomeView> {
    this.#usable();
    return this.#tab.call('view');
  }

  #host(leader: boolean): void {
    this.#begun.resolve();
    if (leader !== this.leader) {
      this.leader = leader;
      this.emit('leader', [leader]);
    }
    for (const room of this.#rooms) room._host();
  }

  #message(message: ToTab): void {
    switch (message.type) {
      case 'host':
        this.device = message.device;
        this.user = message.user;
        this.deviceName = message.deviceName;
        return;
      case 'home':
        this.emit('rooms', [message.view.rooms]);
        this.emit('servers', [message.view.servers]);
        return;
      case 'broken':
        this.#broken = new SymbolonError(message.code, message.message);
        this.#begun.reject(this.#broken);
        this.emit('error', [this.#broken]);
        return;
      case 'answer':
      case 'error':
      case 'echo':
      case 'wake':
        return;
      default:
        for (const room of [...this.#rooms]) if (room.id === message.room) room._message(message);
    }
  }

  /** A page that is left, or put to sleep, is gone for the others at once; if it comes back, it begins anew. */
  #listen(on: boolean): void {
    const change = on ? 'addEventListener' : 'removeEventListener';
    window[change]('pagehide', this.#asleep);
    window[change]('pageshow', this.#awake);
    document[change]('freeze', this.#asleep);
    document[change]('resume', this.#awake);
    document[change]('visibilitychange', this.#seen);
    window[change]('online', this.#online);
    clearInterval(this.#look);
    if (!on) return;
    let ahead = Date.now() - performance.now();
    this.#look = setInterval(() => {
      const now = Date.now() - performance.now();
      if (now - ahead > SLEPT) this.networkChanged();
      ahead = now;
    }, LOOK);
  }

  #asleep = (): void => {
    void this.#tab.stop();
  };

  #awake = (): void => {
    if (!this.#closed) this.#tab.start();
  };

  #seen = (): void => {
    if (!document.hidden) this.networkChanged();
  };

  #online = (): void => this.networkChanged();
}

/** Such as "Chromium on Linux". */
function browser(): string {
  const agent = navigator.userAgent;
  const name = /Firefox\//.test(agent) ? 'Firefox' : /Edg\//.test(agent) ? 'Edge' : /Chrom/.test(agent) ? 'Chrome' : /Safari\//.test(agent) ? 'Safari' : 'Browser';
  const system = /Android/.test(agent) ? 'Android' : /iPhone|iPad/.test(agent) ? 'iOS' : /Windows/.test(agent) ? 'Windows' : /Mac OS/.test(agent) ? 'macOS' : /Linux/.test(agent) ? 'Linux' : '';
  return system === '' ? name : `${name} on ${system}`;
}
