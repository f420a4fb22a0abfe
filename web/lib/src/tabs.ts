// The tabs of a home in this browser: one of them is the host, all others ask it.
//
// Whoever holds the lock `host` is it; when its tab ends, the browser gives the lock to the next in line. Each tab
// holds a lock of its own as well, so that the host learns when it ends. Tabs talk over a BroadcastChannel, the host's
// own tab in memory, with the same messages.

import { load, type Core, type WasmSource } from './core.js';
import { SymbolonError } from './errors.js';
import { Host } from './host.js';
import { ALL, type Calls, type Envelope, type Method, type ToHost, type ToTab } from './messages.js';
import { Store, type Profile } from './store.js';

/** Changes when tabs with an older version of this file could not be understood any more. */
const VERSION = 1;

export interface TabOptions {
  home: string;
  user: string;
  deviceName: string;
  wasm?: WasmSource;
}

export interface TabEvents {
  message(message: ToTab): void;
  /** There is a host, or another one than before: it knows nothing of this tab. */
  host(leader: boolean): void;
  /** There is none until `host` is called again. */
  interrupted(): void;
}

interface Pending {
  message: Extract<ToHost, { type: 'call' }>;
  resolve(value: unknown): void;
  reject(error: SymbolonError): void;
}

/** What a host needs and can be had before there is one. */
interface Prepared {
  /** Who this device is if nothing is stored. */
  fresh: Profile;
  store: Promise<Store>;
  /** Of `fresh`: what it is made of is compiled by then, whoever this device is. */
  core: Promise<Core>;
}

/** Calls that must not be made twice, or that mean nothing to another host. */
const ONCE: readonly Method[] = ['create', 'sit'];

export class Tab {
  #options: TabOptions;
  #events: TabEvents;
  #id = '';
  #channel: BroadcastChannel | undefined;
  #host: Host | undefined;
  #epoch: string | undefined;
  /** Whether this tab's own lock is held: until then a host that looks would think it ended. */
  #held = false;
  #calls = new Map<number, Pending>();
  #lastCall = 0;
  #stay: AbortController | undefined;
  #tick: ReturnType<typeof setTimeout> | undefined;
  #echoes: (() => void)[] = [];
  #hosting: Promise<void> = Promise.resolve();

  constructor(options: TabOptions, events: TabEvents) {
    this.#options = options;
    this.#events = events;
  }

  get leader(): boolean {
    return this.#host !== undefined;
  }

  /** Takes part; the rest is said by events. */
  start(): void {
    if (this.#stay !== undefined) return;
    if (!('locks' in navigator)) {
      throw new SymbolonError('insecure', 'browsers allow this only on pages that came by https: or from localhost');
    }
    const stay = (this.#stay = new AbortController());
    const id = (this.#id = crypto.randomUUID());
    const channel = (this.#channel = new BroadcastChannel(this.#name('channel')));
    channel.onmessage = ({ data }) => this.#heard(data as Envelope);
    // All at once: most often there is no other tab, and this one is the host. What goes wrong is said when it is needed.
    const prepared = this.#prepare();
    prepared.store.catch(() => {});
    prepared.core.catch(() => {});
    stay.signal.addEventListener('abort', () => {
      // A host closes its own.
      if (this.#host === undefined) prepared.store.then((store) => store.close(), () => {});
    });
    this.#lock(this.#name(`tab/${id}`), stay.signal, async () => {
      this.#held = true;
      this.#toHost({ type: 'hello' });
      await ended(stay.signal);
    });
    this.#lock(this.#name('host'), stay.signal, () => this.#lead(stay.signal, prepared));
  }

  /** Ends everything at once, as far as the page can tell; `start` begins anew. */
  async stop(): Promise<void> {
    this.#stay?.abort();
    this.#stay = undefined;
    clearTimeout(this.#tick);
    this.#channel?.close();
    this.#channel = undefined;
    this.#held = false;
    for (const heard of this.#echoes.splice(0)) heard();
    this.#lost();
    await this.#hosting;
  }

  /** Asks the host. A call that another host can take up is made again if this one ends. */
  call<M extends Method>(method: M, ...args: Parameters<Calls[M]>): Promise<ReturnType<Calls[M]>> {
    const id = ++this.#lastCall;
    const message = { type: 'call', id, method, args } as const;
    return new Promise((resolve, reject) => {
      this.#calls.set(id, { message, resolve: resolve as (value: unknown) => void, reject });
      if (this.#epoch !== undefined) this.#toHost(message);
    });
  }

  /** Tells the host; nobody hears it while there is none. */
  post(message: ToHost): void {
    if (this.#epoch !== undefined) this.#toHost(message);
  }

  async #lead(stay: AbortSignal, prepared: Prepared): Promise<void> {
    let finish = () => {};
    this.#hosting = new Promise((resolve) => (finish = resolve));
    try {
      const [host, others] = await Promise.all([this.#open(prepared), this.#others()]);
      if (stay.aborted) {
        await host.stop();
        return;
      }
      this.#host = host;
      for (const tab of others) this.#watch(tab);
      host.begin(others);
      await new Promise<void>((resolve) => {
        stay.addEventListener('abort', () => {
          this.#host = undefined;
          void host.stop().then(resolve);
        });
      });
    } catch (error) {
      const { code, message } = SymbolonError.from(error);
      if (!stay.aborted) this.#receive({ type: 'broken', code, message });
    } finally {
      finish();
    }
  }

  /** The other tabs, by their locks. */
  async #others(): Promise<string[]> {
    const prefix = this.#name('tab/');
    const { held = [] } = await navigator.locks.query();
    const ids = held.flatMap(({ name }) => (name?.startsWith(prefix) ? [name.slice(prefix.length)] : []));
    return ids.filter((id) => id !== this.#id);
  }

  #prepare(): Prepared {
    const { home, user, deviceName } = this.#options;
    const fresh: Profile = { seed: crypto.getRandomValues(new Uint8Array(32)), user, device: deviceName };
    return { fresh, store: Store.open(home), core: this.#core(fresh) };
  }

  async #core(profile: Profile): Promise<Core> {
    await load(this.#options.wasm);
    return Host.core(profile);
  }

  async #open(prepared: Prepared): Promise<Host> {
    const { fresh } = prepared;
    // What failed then may go well now.
    let store = await prepared.store.catch(() => undefined);
    if (store === undefined || store.lost) store = await Store.open(this.#options.home);
    try {
      const [{ profile, entries }, core] = await Promise.all([store.read(fresh), prepared.core.catch(() => this.#core(fresh))]);
      const deliver = (tab: string, message: ToTab) => this.#deliver(tab, message);
      const host = new Host(profile === fresh ? core : Host.core(profile), profile, entries, store, deliver, this.#id);
      store.onlost = () => host.lostStore();
      return host;
    } catch (error) {
      store.close();
      throw error;
    }
  }

  /** From the host in this tab. */
  #deliver(to: string, message: ToTab): void {
    if (to !== this.#id) this.#channel?.postMessage({ to, message } satisfies Envelope);
    if (to === this.#id || to === ALL) this.#receive(message);
  }

  #toHost(message: ToHost): void {
    if (this.#host !== undefined) this.#host.receive(this.#id, message);
    else this.#channel?.postMessage({ from: this.#id, message } satisfies Envelope);
  }

  #heard(envelope: Envelope): void {
    if ('to' in envelope) {
      if (envelope.to === this.#id || envelope.to === ALL) this.#receive(envelope.message);
    } else if (this.#host !== undefined) {
      if (envelope.message.type === 'hello') this.#watch(envelope.from);
      this.#host.receive(envelope.from, envelope.message);
    }
  }

  /** Waits for the end of another tab: then its lock is free. */
  #watch(tab: string): void {
    const host = this.#host;
    if (this.#stay === undefined) return;
    this.#lock(this.#name(`tab/${tab}`), this.#stay.signal, async () => {
      await this.#echo();
      host?.tabGone(tab);
    });
  }

  /** Ends when all that was on the channel before was heard: a tab's last words may come after its end is seen. */
  #echo(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#channel === undefined) return resolve();
      this.#echoes.push(resolve);
      const channel = new BroadcastChannel(this.#name('channel'));
      channel.postMessage({ to: this.#id, message: { type: 'echo' } } satisfies Envelope);
      channel.close();
    });
  }

  #receive(message: ToTab): void {
    switch (message.type) {
      case 'host':
        if (this.#epoch === message.epoch) return;
        this.#lost();
        this.#epoch = message.epoch;
        if (this.#held && !this.leader) this.#toHost({ type: 'hello' });
        for (const { message: call } of this.#calls.values()) this.#toHost(call);
        this.#events.message(message);
        this.#events.host(this.leader);
        this.#toHost({ type: 'settled' });
        return;
      case 'echo':
        this.#echoes.shift()?.();
        return;
      case 'answer':
      case 'error': {
        const call = this.#calls.get(message.id);
        this.#calls.delete(message.id);
        if (message.type === 'answer') call?.resolve(message.value);
        else call?.reject(new SymbolonError(message.code, message.message));
        return;
      }
      case 'wake':
        clearTimeout(this.#tick);
        if (!document.hidden) this.#tick = setTimeout(() => this.post({ type: 'tick' }), message.after);
        return;
      case 'broken':
        for (const { reject } of this.#calls.values()) reject(new SymbolonError(message.code, message.message));
        this.#calls.clear();
        break;
    }
    this.#events.message(message);
  }

  /** The host is no more. */
  #lost(): void {
    if (this.#epoch === undefined) return;
    this.#epoch = undefined;
    for (const [id, { message, reject }] of this.#calls) {
      if (!ONCE.includes(message.method)) continue;
      this.#calls.delete(id);
      reject(new SymbolonError('interrupted', 'the tab that was asked ended before it answered'));
    }
    this.#events.interrupted();
  }

  #name(part: string): string {
    return `symbolon/${VERSION}/${this.#options.home}/${part}`;
  }

  #lock(name: string, signal: AbortSignal, hold: () => Promise<void>): void {
    navigator.locks.request(name, { signal }, hold).catch((error: unknown) => {
      if (!signal.aborted) console.error(`symbolon: the lock ${name} cannot be had`, error);
    });
  }
}

function ended(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve());
  });
}
