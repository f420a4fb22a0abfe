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

  private constructor(db: IDBDatabase, lost: () => void) {
    this.#db = db;
    db.onclose = lost;
    // Somebody deletes the database: without it there is nothing to go on with.
    db.onversionchange = () => {
      db.close();
      lost();
    };
  }

  /** Opens the store of a home; `lost` is called if the browser takes it away later. */
  static async open(home: string, lost: () => void): Promise<Store> {
    const opening = indexedDB.open(home, VERSION);
    opening.onupgradeneeded = () => {
      opening.result.createObjectStore(ENTRIES);
      opening.result.createObjectStore(PROFILE);
    };
    return new Store(await done(opening), lost);
  }

  /** The profile, which is made from `fresh` at the first visit. */
  async profile(fresh: Profile): Promise<Profile> {
    const transaction = this.#db.transaction(PROFILE, 'readwrite', { durability: 'strict' });
    const store = transaction.objectStore(PROFILE);
    const known: Profile | undefined = await done(store.get(PROFILE));
    if (known !== undefined) return known;
    store.put(fresh, PROFILE);
    await committed(transaction);
    return fresh;
  }

  /** All entries in the order of their keys. */
  async entries(): Promise<[Uint8Array, Uint8Array][]> {
    const store = this.#db.transaction(ENTRIES, 'readonly').objectStore(ENTRIES);
    const [keys, values] = await Promise.all([done(store.getAllKeys()), done(store.getAll())]);
    return keys.map((key, n) => [new Uint8Array(key as ArrayBuffer), values[n] as Uint8Array]);
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
    return stored;
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
