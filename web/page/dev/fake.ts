// The package `symbolon` with nobody in it but actors: for screenshots of states that are hard to arrange with real
// members. Chosen by `vite --mode fake`; never part of a build. The address's query picks a scene.
import { Awareness } from 'y-protocols/awareness';
import * as Y from 'yjs';

type Listener = (...args: any[]) => void;
class Emitter {
  #listeners = new Map<string, Set<Listener>>();
  on(event: string, listener: Listener) {
    let all = this.#listeners.get(event);
    if (!all) this.#listeners.set(event, (all = new Set()));
    all.add(listener);
  }
  off(event: string, listener: Listener) {
    this.#listeners.get(event)?.delete(listener);
  }
  emit(event: string, ...args: unknown[]) {
    for (const listener of [...(this.#listeners.get(event) ?? [])]) listener(...args);
  }
}

export class SymbolonError extends Error {
  constructor(
    readonly code: string,
    message = code,
  ) {
    super(message);
  }
}

const scene = new URLSearchParams(location.search).get('scene') ?? 'new';
const DEVICE = 'dev-ada-0000000000000000000000000000000000';

interface Member {
  device: string;
  user: string;
  name: string;
  own: boolean;
  online: boolean;
  linked: boolean;
  invited_by?: string;
  reach: 'own' | 'direct' | 'connecting' | 'through' | 'away';
  through: string[];
  last_seen?: number;
}
const member = (device: string, user: string, name: string, reach: Member['reach'], more: Partial<Member> = {}): Member => ({
  device,
  user,
  name,
  own: reach === 'own',
  online: reach !== 'away',
  linked: reach === 'direct',
  reach,
  through: [],
  ...more,
});

function people(user: string): Member[] {
  const me = member(DEVICE, user, 'Chrome on Linux', 'own');
  if (scene !== 'busy') return [me];
  return [
    me,
    member('dev-ben-1', 'Ben Okafor', 'Firefox on Android', 'direct', { invited_by: DEVICE }),
    member('dev-cleo-2', 'Cleo', 'laptop', 'direct', { invited_by: DEVICE }),
    member('dev-dana-3', 'Dana', 'symbolon on box', 'through', { invited_by: 'dev-ben-1', through: ['dev-ben-1'] }),
    member('dev-emil-4', 'Emil Håkansson', 'Safari on iPhone', 'connecting', { invited_by: 'dev-cleo-2' }),
    member('dev-fay-5', 'Fay', 'Firefox on Mac', 'away', { invited_by: 'dev-cleo-2', last_seen: Date.now() - 5 * 60_000 }),
  ];
}

class Room extends Emitter {
  synced = true;
  #members: Member[];
  constructor(
    readonly id: string,
    readonly name: string,
    user: string,
  ) {
    super();
    this.#members = people(user);
  }
  members() {
    return this.#members;
  }
  servers() {
    return scene === 'busy'
      ? [
          { origin: 'wss://rooms.example.org', connected: true },
          { origin: 'wss://backup.example.net', connected: false, trouble: 'connection refused' },
        ]
      : [{ origin: `ws://${location.host}`, connected: scene !== 'offline', ...(scene === 'offline' ? { trouble: 'connection refused' } : {}) }];
  }
  topology() {
    const present = this.#members.filter((one) => one.online).map((one) => one.device);
    if (scene !== 'busy') return { present, edges: [] };
    const [a, b, c, d, e] = present as [string, string, string, string, string];
    return {
      present,
      edges: [
        { a, b, state: 'confirmed' as const },
        { a, b: c, state: 'confirmed' as const },
        { a: b, b: c, state: 'confirmed' as const },
        { a: b, b: d, state: 'confirmed' as const },
        { a: c, b: d, state: 'claimed' as const, by: c },
        { a, b: d, state: 'gap' as const },
        { a: c, b: e, state: 'confirmed' as const },
        { a: b, b: e, state: 'claimed' as const, by: e },
        { a, b: e, state: 'gap' as const },
        { a: d, b: e, state: 'gap' as const },
      ],
    };
  }
  async invite({ expires = 86_400_000, uses = 1 } = {}) {
    const ticket = `symbolon1${'pGFhAWFzgaJhb3gdd3M6Ly9yb29tcy5leGFtcGxlLm9yZ2Frn2Fy'.repeat(8)}`;
    if (scene === 'new') setTimeout(() => this.#arrive(), 4000);
    return { ticket, link: `https://rooms.example.org/#${ticket}`, expires: Date.now() + expires, uses };
  }
  #arrive() {
    if (this.#members.length > 1) return;
    this.#members = [...this.#members, member('dev-ben-1', 'Ben', 'Firefox on Android', 'direct', { invited_by: DEVICE })];
    this.emit('members');
  }
  async leave() {
    await peer?.leave(this.id);
  }
  close() {}
}

let peer: Peer | undefined;
export class Peer extends Emitter {
  device = DEVICE;
  leader = true;
  #rooms = new Map<string, Room>();
  private constructor(
    readonly user: string,
    readonly deviceName: string,
  ) {
    super();
    if (scene === 'busy' || scene === 'home') {
      for (const [id, name] of [['room-plans', 'Summer house'], ['room-two', 'Reading circle'], ['room-three', 'Sketches']] as const)
        this.#rooms.set(id, new Room(id, name, user));
    }
  }
  static async open(options: { user?: string; deviceName?: string; wasm?: unknown } = {}) {
    if (scene === 'broken') throw new SymbolonError('store');
    return (peer ??= new Peer(options.user ?? 'Ada', options.deviceName ?? 'Browser'));
  }
  async create({ name }: { name: string; servers: string[] }) {
    const room = new Room(`room-${name.length}`, name, this.user);
    this.#rooms.set(room.id, room);
    this.emit('rooms');
    return room;
  }
  async join(text: string, _options: { timeout?: number } = {}) {
    if (!text.includes('symbolon1')) throw new SymbolonError('malformed_ticket');
    await new Promise((done) => setTimeout(done, text.includes('slow') ? 60_000 : 300));
    const code = /fail_(\w+)/.exec(text)?.[1];
    if (code) throw new SymbolonError(code);
    return this.create({ name: 'Joined', servers: [] });
  }
  async open(id: string) {
    const room = this.#rooms.get(id);
    if (!room) throw new SymbolonError('no_such_room');
    return room;
  }
  async rooms() {
    return [...this.#rooms.values()].map((room, i) => ({
      id: room.id,
      name: room.name,
      servers: room.servers().map((server) => server.origin),
      members: room.members().length,
      links: i === 0 ? room.members().filter((one) => one.linked).length : 0,
    }));
  }
  async servers() {
    return [...this.#rooms.values()][0]?.servers() ?? [];
  }
  async leave(id: string) {
    this.#rooms.delete(id);
    this.emit('rooms');
  }
  networkChanged() {}
  async close() {
    peer = undefined;
  }
}

export { Room };

const TEXT = `Summer house, last two weeks of July

Who brings what
 – Ben: the boat, both pairs of oars, and the small stove
 – Cleo: sheets and towels for six
 – Dana: coffee. Enough coffee this time.

Getting there
The ferry leaves at 9:40 and 14:15. The key is where it was last year. If the pump does not start, wait a minute and try once more; then call Emil.

Open
 – Who takes the dog?
 – Is the roof done?
`;

export class SymbolonProvider extends Emitter {
  awareness: Awareness;
  synced = true;
  saved = true;
  whenSynced = Promise.resolve();
  constructor(
    readonly doc: Y.Doc,
    readonly room: Room,
    options: { awareness?: Awareness } = {},
  ) {
    super();
    this.awareness = options.awareness ?? new Awareness(doc);
    if (scene === 'busy') this.#act();
  }
  #act() {
    const other = new Y.Doc();
    const text = other.getText('text:main');
    text.insert(0, TEXT);
    const strokes: Uint8Array[] = sketch().map(encodeStroke);
    const many = Number(new URLSearchParams(location.search).get('strokes') ?? 0);
    for (let i = 0; i < many; i++) strokes.push(encodeStroke(scribble(i)));
    other.getArray<Uint8Array>('canvas:main').push(strokes);
    Y.applyUpdate(this.doc, Y.encodeStateAsUpdate(other), this);
    const at = (needle: string) => {
      const position = Y.createRelativePositionFromTypeIndex(text, TEXT.indexOf(needle) + needle.length);
      return JSON.parse(JSON.stringify(position));
    };
    const from = at('Enough ');
    const to = at('Enough coffee');
    this.#state(11, { user: { name: 'Ben Okafor', color: '#a8560a' }, cursor: { anchor: at('small st'), head: at('small st') } });
    this.#state(12, { user: { name: 'Dana', color: 'red; position: fixed' }, cursor: { anchor: from, head: to } });
    const wave = Array.from({ length: 40 }, (_, i) => [520 + i * 5, 150 + Math.sin(i / 4) * 24, 0.6]).flat();
    this.#state(13, { user: { name: 'Cleo', color: '#3b5bd0' }, stroke: { color: '#3b5bd0', width: 4, points: wave } });
  }
  #state(client: number, state: Record<string, unknown>) {
    this.awareness.states.set(client, state);
    this.awareness.meta.set(client, { clock: 1, lastUpdated: Date.now() + 1e9 });
    this.awareness.emit('change', [{ added: [client], updated: [], removed: [] }, 'actors']);
  }
  connect() {}
  disconnect() {}
  destroy() {
    this.awareness.destroy();
  }
}

interface Stroke {
  color: string;
  width: number;
  points: Float64Array;
}
const encodeStroke = (stroke: Stroke) =>
  new TextEncoder().encode(JSON.stringify({ ...stroke, points: [...stroke.points] }));
const decodeStroke = (bytes: Uint8Array): Stroke => {
  const { color, width, points } = JSON.parse(new TextDecoder().decode(bytes));
  return { color, width, points: new Float64Array(points) };
};
export const canvas = { encodeStroke, decodeStroke, strokesToSvg: (_: Uint8Array[]) => '<svg xmlns="http://www.w3.org/2000/svg"/>' };

export async function load(_wasm?: unknown) {}

export function readTicket(text: string) {
  if (!/symbolon1[\w-]{8}/.test(text)) throw new SymbolonError('malformed_ticket');
  return { room: 'room-x', servers: [`ws://${location.host}`], expires: Date.now() + 1e7, issuer: 'dev-ben-1' };
}

function line(color: string, width: number, ...xy: number[]): Stroke {
  const points: number[] = [];
  for (let i = 0; i + 3 < xy.length; i += 2)
    for (let t = 0; t < 1; t += 0.1)
      points.push(xy[i]! + (xy[i + 2]! - xy[i]!) * t, xy[i + 1]! + (xy[i + 3]! - xy[i + 1]!) * t, 0.7 + 0.3 * Math.sin(t * 6));
  points.push(xy.at(-2)!, xy.at(-1)!, 1);
  return { color, width, points: new Float64Array(points) };
}
function sketch(): Stroke[] {
  return [
    line('#1c2422', 4, 120, 300, 120, 190, 200, 120, 280, 190, 280, 300, 120, 300),
    line('#1c2422', 4, 105, 202, 200, 120, 297, 204),
    line('#a8560a', 4, 180, 300, 180, 240, 220, 240, 220, 300),
    line('#3b5bd0', 6, 40, 340, 90, 330, 140, 345, 200, 332, 260, 345, 330, 332, 400, 344),
    line('#2f7d3b', 8, 340, 300, 340, 220, 320, 200, 345, 170, 370, 200, 342, 222),
  ];
}
function scribble(i: number): Stroke {
  const x = (i % 70) * 40;
  const y = 400 + Math.floor(i / 70) * 40;
  const points: number[] = [];
  for (let t = 0; t < 60; t++) points.push(x + t / 2, y + Math.sin(t / 5 + i) * 14, 0.5 + 0.5 * Math.sin(t / 9));
  return { color: ['#1c2422', '#0b7a6f', '#b0336f'][i % 3]!, width: 2 + (i % 3), points: new Float64Array(points) };
}
export type { Member as MemberStatus };
export type ServerStatus = { origin: string; connected: boolean; trouble?: string };
export type RoomStatus = { id: string; name: string; servers: string[]; members: number; links: number };
export type Topology = { present: string[]; edges: { a: string; b: string; state: 'confirmed' | 'claimed' | 'gap'; by?: string }[] };
