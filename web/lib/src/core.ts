// The machine in wasm: loading it, and the functions of it that need no peer.

import init, * as bindings from './core/symbolon_web.js';
import type { Stroke } from './core/symbolon_web.js';
import { SymbolonError } from './errors.js';

export { Core } from './core/symbolon_web.js';
export type {
  Edge,
  Event as CoreEvent,
  MemberStatus,
  Output,
  Presence,
  RoomStatus,
  ServerStatus,
  Stroke,
  Topology,
} from './core/symbolon_web.js';

/** Where the wasm file is, or its bytes. */
export type WasmSource = string | URL | BufferSource;

let loading: Promise<void> | undefined;
let loaded = false;

/** Loads the wasm core, once. `Peer.open` does so by itself; the functions below need it. */
export function load(wasm?: WasmSource): Promise<void> {
  loading ??= (async () => {
    await init({ module_or_path: wasm ?? new URL('./core/symbolon_web_bg.wasm', import.meta.url) });
    loaded = true;
  })().catch((error: unknown) => {
    loading = undefined;
    throw new SymbolonError('wasm', `the core cannot be loaded: ${SymbolonError.from(error).message}`);
  });
  return loading;
}

function call<T>(act: () => T): T {
  if (!loaded) throw new SymbolonError('not_loaded', 'the core is not loaded yet: await load() first');
  try {
    return act();
  } catch (error) {
    throw SymbolonError.from(error);
  }
}

/** What a ticket says to whoever holds it. */
export interface TicketInfo {
  room: string;
  servers: string[];
  /** Milliseconds since 1970. */
  expires: number;
  /** The device that invites. */
  issuer: string;
  /** The only device that may use it. */
  bound?: string;
}

/** Reads a ticket, or a link with one. */
export function readTicket(text: string): TicketInfo {
  return call(() => bindings.read_ticket(text));
}

/** Strokes as they are stored in a room's canvases (docs/PROTOCOL.md). */
export const canvas = {
  /** A stroke as the one binary value of a `canvas:…` array. */
  encodeStroke: ({ color, width, points }: Stroke): Uint8Array => {
    return call(() => bindings.stroke_encode(color, width, points));
  },
  decodeStroke: (bytes: Uint8Array): Stroke => call(() => bindings.stroke_decode(bytes)),
  /** Whether an eraser of this radius touches the stroke; one that cannot be read is touched nowhere. */
  hitsStroke: (bytes: Uint8Array, x: number, y: number, radius: number): boolean => {
    return call(() => bindings.stroke_hits(bytes, x, y, radius));
  },
  /** A drawing of all strokes that can be read. */
  strokesToSvg: (strokes: Uint8Array[]): string => call(() => bindings.strokes_svg(strokes)),
};
