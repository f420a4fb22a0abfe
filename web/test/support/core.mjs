// The core in Node: what signs, without sockets and stores.

import { readFile } from 'node:fs/promises';
import init, { Core } from '../../lib/dist/core/symbolon_web.js';

const WASM = new URL('../../lib/dist/core/symbolon_web_bg.wasm', import.meta.url);

/** A member alone in a room; `hand` signs an update of a writer, or throws. */
export async function aloneInARoom(seed = 1) {
  await init({ module_or_path: await readFile(WASM) });
  const core = new Core(new Uint8Array(32).fill(seed), new Uint8Array(32).fill(seed), 'ann', 'desk', 0, Date.now());
  core.restore([]);
  core.start();
  const room = core.create_room('plans', ['ws://127.0.0.1:1']);
  core.outputs();
  return { core, room };
}

/** What a document's `Writer` takes for its tab: every update is signed at once, and comes back as stored. */
export class CoreTab {
  constructor({ core, room }) {
    Object.assign(this, { core, room });
    this.refused = [];
    this.updates = [];
  }

  /** The document's writer. */
  serve(writer) {
    this.writer = writer;
    return writer;
  }

  async call(method, room, was) {
    if (method !== 'sit') throw new Error(`nobody answers ${method}`);
    if (this.held !== undefined) this.core.close_writer(room, this.held);
    const seat = this.core.open_writer(room, was);
    this.held = seat.incarnation;
    this.taken = 0;
    this.off = false;
    return { ...seat, updates: this.core.updates(room), presence: [] };
  }

  post(message) {
    if (message.type === 'rise') {
      this.core.close_writer(message.room, message.incarnation);
      this.held = undefined;
    }
    if (message.type !== 'update' || this.off) return;
    const { room, incarnation, update } = message;
    this.updates.push(update);
    this.taken += 1;
    const count = this.taken;
    try {
      this.core.local_update(room, incarnation, update);
    } catch (error) {
      this.off = true;
      this.refused.push(error);
      queueMicrotask(() => this.writer.receive({ type: 'refused', room, incarnation, code: error.code, message: error.message }));
      return;
    }
    this.core.outputs();
    queueMicrotask(() => this.writer.receive({ type: 'stored', room, incarnation, count }));
  }
}
