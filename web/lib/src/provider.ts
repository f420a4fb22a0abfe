import { ObservableV2 } from 'lib0/observable';
import { Awareness } from 'y-protocols/awareness';
import type * as Y from 'yjs';
import type { MemberStatus, Presence } from './core.js';
import { deferred } from './deferred.js';
import { SymbolonError } from './errors.js';
import type { ToTab } from './messages.js';
import type { Room, RoomListener } from './room.js';
import { Writer } from './writer.js';

export type Status = 'connecting' | 'connected' | 'disconnected';

export interface ProviderEvents {
  /** `connected`: linked with a member, or nobody else is here and a server is reached. */
  status: (event: { status: Status }) => void;
  /** Whether the document has all that is stored and, if members are linked, all that they know. */
  synced: (synced: boolean) => void;
  /** The same as `synced`. */
  sync: (synced: boolean) => void;
  /** Whether all that was written here is stored; from then on it reaches the others, whatever ends next. */
  saved: (saved: boolean) => void;
  /** A change could not be taken into the room, and was undone here; or the store cannot be written. */
  error: (error: SymbolonError) => void;
}

export interface ProviderOptions {
  /** Default: a new one of this document. */
  awareness?: Awareness;
  /** Whether to connect at once. Default: true. */
  connect?: boolean;
}

/**
 * Keeps a Y.Doc the same as a room's, here and at all members: everything stored is in it, and what is written in it
 * is signed, stored and passed on. The document's client id is given by the room; content that it had before becomes
 * part of the room.
 */
export class SymbolonProvider extends ObservableV2<{ [E in keyof ProviderEvents]: ProviderEvents[E] }> {
  readonly doc: Y.Doc;
  readonly room: Room;
  readonly awareness: Awareness;
  /** Resolves when the document was in sync for the first time. */
  readonly whenSynced: Promise<void>;
  #writer: Writer;
  #status: Status = 'disconnected';
  #synced = false;
  #connected = false;
  #destroyed = false;
  #firstSync = deferred();
  /** Of others whose states the awareness has from here: the devices that signed them, by client id. */
  #shown = new Map<number, string>();
  #listener: RoomListener;

  constructor(doc: Y.Doc, room: Room, { awareness = new Awareness(doc), connect = true }: ProviderOptions = {}) {
    super();
    this.doc = doc;
    this.room = room;
    this.awareness = awareness;
    this.whenSynced = this.#firstSync.promise;
    this.#listener = {
      host: () => this.#writer.host(),
      interrupted: () => {
        this.#writer.unseat();
        this.#show();
      },
      message: (message) => this.#message(message),
      view: () => this.#show(),
      closed: () => this.destroy(),
    };
    const tab = room._attach(this.#listener);
    this.#writer = new Writer(doc, room.id, tab, {
      seated: ({ client, presence }) => {
        this.#takeClient(client);
        this.#present();
        this.#replace(presence);
        this.#show();
      },
      saved: (saved) => this.emit('saved', [saved]),
      failed: (error) => this.#failed(error),
    });
    doc.on('destroy', this.#docGone);
    awareness.on('change', this.#changed);
    if (connect) this.connect();
  }

  get status(): Status {
    return this.#status;
  }

  get synced(): boolean {
    return this.#synced;
  }

  /** Whether all that was written here is stored. */
  get saved(): boolean {
    return this.#writer.saved;
  }

  /**
   * Whose document a state of the awareness belongs to: it was signed by that member, whatever the state says of itself.
   * Undefined for this document, and for states that are not from the room.
   */
  memberOf(client: number): MemberStatus | undefined {
    const device = this.#shown.get(client);
    return this.room.members().find((member) => member.device === device);
  }

  connect(): void {
    if (this.#connected || this.#destroyed) return;
    this.#connected = true;
    this.#writer.open();
    this.#show();
  }

  /** The document is on its own: what is written meanwhile is stored when it is connected again. */
  disconnect(): void {
    if (!this.#connected) return;
    this.#connected = false;
    this.#writer.close();
    this.#takeClient(this.doc.clientID);
    this.#replace([]);
    this.#show();
  }

  override destroy(): void {
    if (this.#destroyed) return;
    this.disconnect();
    this.#destroyed = true;
    this.doc.off('destroy', this.#docGone);
    this.awareness.off('change', this.#changed);
    this.room._detach(this.#listener);
    super.destroy();
  }

  #docGone = (): void => this.destroy();

  #message(message: ToTab): void {
    if (!this.#connected) return;
    if (message.type === 'presence') this.#take(message.states);
    else this.#writer.receive(message);
  }

  #failed(error: SymbolonError): void {
    if (!this._observers.has('error')) console.error('symbolon:', error);
    this.emit('error', [error]);
    this.#show();
  }

  #show(): void {
    if (this.#destroyed) return;
    const status = this.#connected ? this.#reach() : 'disconnected';
    if (status !== this.#status) {
      this.#status = status;
      this.emit('status', [{ status }]);
    }
    const synced = this.#connected && this.#writer.seat !== undefined && this.room.synced;
    if (synced !== this.#synced) {
      this.#synced = synced;
      if (synced) this.#firstSync.resolve();
      this.emit('synced', [synced]);
      this.emit('sync', [synced]);
    }
  }

  #reach(): Status {
    if (this.#writer.seat === undefined) return 'connecting';
    const others = this.room.members().filter((member) => !member.own);
    if (others.some(({ linked }) => linked)) return 'connected';
    const alone = !others.some(({ online }) => online);
    return alone && this.room.servers().some(({ connected }) => connected) ? 'connected' : 'connecting';
  }

  // Awareness.

  /** The local state is that of the document's client id. */
  #takeClient(client: number): void {
    const { awareness } = this;
    if (awareness.clientID === client) return;
    const state = awareness.getLocalState();
    awareness.setLocalState(null);
    awareness.meta.delete(awareness.clientID);
    awareness.clientID = client;
    if (state !== null) awareness.setLocalState(state);
  }

  #changed = (changes: { added: number[]; updated: number[]; removed: number[] }): void => {
    const own = this.awareness.clientID;
    if (Object.values(changes).some((clients) => clients.includes(own))) this.#present();
  };

  /** Shows the others the local state. */
  #present(): void {
    const { seat } = this.#writer;
    // While the client id changes there is no local state; the room need not see that.
    if (seat === undefined || seat.client !== this.awareness.clientID) return;
    const local = this.awareness.getLocalState();
    const state = local === null ? undefined : JSON.stringify(local);
    this.#writer.present(state);
  }

  /** Shows these, and nobody else. */
  #replace(states: Presence[]): void {
    const here = new Set(states.map(({ client }) => client));
    const gone = [...this.#shown.keys()].filter((client) => !here.has(client));
    this.#take([...states, ...gone.map((client) => ({ client }) as Presence)]);
  }

  #take(states: Presence[]): void {
    const { awareness } = this;
    const added: number[] = [];
    const updated: number[] = [];
    const removed: number[] = [];
    for (const { client, device, state } of states) {
      if (client === awareness.clientID) continue;
      const known = awareness.states.has(client);
      const value = state === undefined ? undefined : parsed(state);
      if (value === undefined) {
        if (!known) continue;
        awareness.states.delete(client);
        awareness.meta.delete(client);
        this.#shown.delete(client);
        removed.push(client);
        continue;
      }
      (known ? updated : added).push(client);
      awareness.states.set(client, value);
      const clock = (awareness.meta.get(client)?.clock ?? -1) + 1;
      // Who is gone is said by the room; the awareness does not time it out by itself.
      awareness.meta.set(client, { clock, lastUpdated: Infinity });
      this.#shown.set(client, device);
    }
    if (added.length + updated.length + removed.length === 0) return;
    awareness.emit('change', [{ added, updated, removed }, this]);
    awareness.emit('update', [{ added, updated, removed }, this]);
  }
}

function parsed(state: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(state);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}
