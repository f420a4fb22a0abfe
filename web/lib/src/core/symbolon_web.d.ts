// The machine's bindings as the driver uses them. The module itself is made from `web/core` by `cargo xtask web`.

export interface Presence {
  device: string;
  incarnation: number;
  client: number;
  clock: number;
  state?: string;
}

export interface RoomStatus {
  id: string;
  name: string;
  servers: string[];
  members: number;
  links: number;
}

export interface MemberStatus {
  device: string;
  user: string;
  name: string;
  own: boolean;
  online: boolean;
  linked: boolean;
  invited_by?: string;
  /** `through`: not linked with us, but with the devices in `through`, which are. */
  reach: 'own' | 'direct' | 'connecting' | 'through' | 'away';
  through: string[];
  /** Milliseconds since 1970. */
  last_seen?: number;
}

export interface ServerStatus {
  origin: string;
  connected: boolean;
  trouble?: string;
}

export interface Edge {
  a: string;
  b: string;
  /** `confirmed`: both say so; `claimed`: only `by` does; `gap`: expected, and nobody does. */
  state: 'confirmed' | 'claimed' | 'gap';
  by?: string;
}

export interface Topology {
  present: string[];
  edges: Edge[];
}

export type Event =
  | { type: 'ready'; room: string }
  | { type: 'join_failed'; room: string; code: string; message: string }
  | { type: 'member'; room: string; device: string }
  | { type: 'link_up'; room: string; device: string }
  | { type: 'link_down'; room: string; device: string; reason: string }
  | { type: 'presence'; room: string }
  | { type: 'synced'; room: string; device: string }
  | { type: 'cut'; room: string; device: string; why: string }
  | { type: 'server'; server: string; connected: boolean }
  | { type: 'topology'; room: string };

export type Output =
  | { type: 'persist'; key: Uint8Array; value: Uint8Array }
  | { type: 'forget'; prefix: Uint8Array; room: string }
  | { type: 'dial'; origin: string }
  | { type: 'send_server'; origin: string; text: string }
  | { type: 'hang_up'; origin: string }
  | { type: 'make_offer'; link: number; ice_servers: RTCIceServer[] }
  | { type: 'make_answer'; link: number; offer: string; ice_servers: RTCIceServer[] }
  | { type: 'accept_answer'; link: number; answer: string }
  | { type: 'add_candidate'; link: number; candidate: string }
  | { type: 'send'; link: number; part: Uint8Array }
  | { type: 'close'; link: number }
  | { type: 'apply'; room: string; author: string; incarnation: number; update: Uint8Array }
  | { type: 'set_client'; room: string; incarnation: number; client: number }
  | { type: 'writer'; room: string; was: number; incarnation: number; client: number }
  | { type: 'collect'; room: string }
  | ({ type: 'presence'; room: string } & Presence)
  | { type: 'event'; event: Event };

export class Core {
  constructor(
    seed: Uint8Array,
    rng: Uint8Array,
    user: string,
    device: string,
    monotonic_ms: number,
    unix_ms: number,
  );
  free(): void;
  tell_time(monotonic_ms: number, unix_ms: number): void;
  restore(entries: [Uint8Array, Uint8Array][]): void;
  start(): void;
  device(): string;
  create_room(name: string, servers: string[]): string;
  invite(
    room: string,
    expires_unix_ms: number,
    uses: number,
    to: string | undefined,
  ): { ticket: string; link: string; invite: string };
  join(ticket: string, timeout_ms: number): string;
  leave(room: string): void;
  reset_link(room: string, device: string): void;
  network_changed(): void;
  open_writer(room: string, incarnation?: number): { incarnation: number; client: number };
  close_writer(room: string, incarnation: number): void;
  local_changed(room: string): void;
  local_update(room: string, incarnation: number, update: Uint8Array): void;
  updates(room: string): Uint8Array[];
  set_presence(room: string, incarnation: number, state: string | undefined): void;
  presence(room: string): Presence[];
  server_opened(origin: string): void;
  server_text(origin: string, text: string): void;
  server_closed(origin: string, reason: string): void;
  description(link: number, sdp: string): void;
  candidate(link: number, candidate: string): void;
  opened(link: number): void;
  part(link: number, part: Uint8Array): void;
  sent(link: number, bytes: number): void;
  closed(link: number, reason: string): void;
  timeout(): number | undefined;
  handle_timeout(): void;
  outputs(): Output[];
  rooms(): RoomStatus[];
  members(room: string): MemberStatus[];
  servers(): ServerStatus[];
  topology(room: string): Topology;
}

/** One finished stroke of a canvas. */
export interface Stroke {
  /** `#rrggbb` */
  color: string;
  width: number;
  /** x, y and pressure (0 to 1) of one point after the other. */
  points: Float64Array;
}

export function read_ticket(text: string): {
  room: string;
  servers: string[];
  expires: number;
  issuer: string;
  bound?: string;
};
export function stroke_encode(color: string, width: number, points: Float64Array): Uint8Array;
export function stroke_decode(bytes: Uint8Array): Stroke;
export function stroke_hits(bytes: Uint8Array, x: number, y: number, radius: number): boolean;
export function strokes_svg(strokes: Uint8Array[]): string;

export default function init(input?: {
  module_or_path: string | URL | BufferSource | Response | Promise<Response> | WebAssembly.Module;
}): Promise<unknown>;
