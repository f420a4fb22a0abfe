// What is kept between visits, in IndexedDB: one ordered table of keys and values, and who this device is.

import { SymbolonError } from './errors.js';

const ENTRIES = 'entries';
const PROFILE = 'profile';
const VERSION = 1;

/** Who this device is, to itself and to others. */
export interface Profile {
  seed: Uint8Array;
  user: string;
  device: string;
}

/** A change to be stored: a value, or (with `prefix`) the end of all keys that begin so. */
export type Write = { key: Uint8Array; value: Uint8Array } | { prefix: Uint8Array };

export class Store {
  #db: IDBDatabase;
  #read: Promise<void> = Promise.resolve();
  /** The browser took it away. */
  lost = false;
  onlost = (): void => {};

  private constructor(db: IDBDatabase) {
    this.#db = db;
    const lost = () => {
      this.lost = true;
      this.onlost();
    };
    db.onclose = lost;
    // Somebody deletes the database: without it there is nothing to go on with.
    db.onversionchange = () => {
      db.close();
      lost();
    };
  }

  static async open(home: string): Promise<Store> {
    const opening = indexedDB.open(home, VERSION);
    opening.onupgradeneeded = () => {
      opening.result.createObjectStore(ENTRIES);
      opening.result.createObjectStore(PROFILE);
    };
    return new Store(await done(opening));
  }

  /** Who this device is, which is `fresh` at the first visit, and all entries in the order of their keys. */
  async read(fresh: Profile): Promise<{ profile: Profile; entries: [Uint8Array, Uint8Array][] }> {
    const transaction = this.#db.transaction([PROFILE, ENTRIES], 'readwrite', { durability: 'relaxed' });
    const [profiles, store] = [transaction.objectStore(PROFILE), transaction.objectStore(ENTRIES)];
    const [known, keys, values] = await Promise.all([
      done<Profile | undefined>(profiles.get(PROFILE)),
      done(store.getAllKeys()),
      done(store.getAll()),
    ]);
    if (known === undefined) profiles.put(fresh, PROFILE);
    this.#read = committed(transaction);
    this.#read.catch(() => {}); // told at the first commit
    transaction.commit();
    const entries = keys.map((key, n): [Uint8Array, Uint8Array] => [new Uint8Array(key as ArrayBuffer), values[n]]);
    return { profile: known ?? fresh, entries };
  }

  /** Stores all of it or nothing. */
  commit(writes: Write[]): Promise<void> {
    const transaction = this.#db.transaction(ENTRIES, 'readwrite', { durability: 'relaxed' });
    const store = transaction.objectStore(ENTRIES);
    for (const write of writes) {
      if ('prefix' in write) store.delete(beginningWith(write.prefix));
      else store.put(write.value, write.key as Uint8Array<ArrayBuffer>);
    }
    const stored = committed(transaction);
    transaction.commit();
    // Nothing is stored of a device whose seed is not.
    return Promise.all([this.#read, stored]).then(() => {});
  }

  close(): void {
    this.#db.onclose = null;
    this.#db.close();
  }
}

function beginningWith(prefix: Uint8Array): IDBKeyRange {
  const from = prefix as Uint8Array<ArrayBuffer>;
  const end = prefix.slice();
  for (let at = end.length - 1; at >= 0; at--) {
    if (end[at] !== 0xff) {
      end[at]! += 1;
      return IDBKeyRange.bound(from, end.slice(0, at + 1), false, true);
    }
  }
  return IDBKeyRange.lowerBound(from);
}

function failure(error: DOMException | null): SymbolonError {
  return new SymbolonError('store', error?.message || error?.name || 'the browser does not say why');
}

function done<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(failure(request.error));
  });
}

function committed(transaction: IDBTransaction): Promise<void> {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(failure(transaction.error));
  });
}
