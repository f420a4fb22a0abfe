// The stroke under way, as presence: one's own told to the others, theirs to draw.
import type { Awareness } from 'y-protocols/awareness';
import { safeColor } from '../model/people';
import type { NameOf } from '../model/room';
import type { Live } from './board';
import type { Line } from './ink';

const EVERY_MS = 60;
/** Presence is bounded (16 KiB): of a long stroke the others see the end until it is finished. */
const POINTS = 500;
/** A stroke that ended stays this long, until the finished one is surely here. */
const LINGER_MS = 250;
const FARTHEST = 1 << 20;

export class LiveStrokes {
  readonly #awareness: Awareness;
  readonly #nameOf: NameOf;
  readonly #request: () => void;
  #others = new Map<number, Live & { ended?: number }>();
  #own: Line | undefined;
  #timer = 0;

  constructor(awareness: Awareness, nameOf: NameOf, request: () => void) {
    this.#awareness = awareness;
    this.#nameOf = nameOf;
    this.#request = request;
    awareness.on('change', this.#changed);
    this.#changed();
  }

  destroy(): void {
    this.#awareness.off('change', this.#changed);
    this.tell(undefined);
  }

  others(): Iterable<Live> {
    return this.#others.values();
  }

  /** What oneself draws right now. */
  tell(line: Line | undefined): void {
    this.#own = line;
    if (!line) {
      clearTimeout(this.#timer);
      this.#timer = 0;
      if (this.#awareness.getLocalState()?.['stroke']) this.#awareness.setLocalStateField('stroke', null);
    } else if (!this.#timer) {
      this.#timer = window.setTimeout(() => {
        this.#timer = 0;
        this.#send();
      }, EVERY_MS);
    }
  }

  #send(): void {
    if (!this.#own) return;
    const { color, width, points } = this.#own;
    const from = Math.max(0, points.length - POINTS * 3);
    const short = Array.from({ length: points.length - from }, (_, i) => Math.round((points[from + i] ?? 0) * 10) / 10);
    this.#awareness.setLocalStateField('stroke', { color, width, points: short });
  }

  #changed = (): void => {
    const now = Date.now();
    const seen = new Set<number>();
    for (const [client, state] of this.#awareness.getStates()) {
      if (client === this.#awareness.clientID) continue;
      const line = lineOf(state['stroke'], client);
      if (!line) continue;
      seen.add(client);
      const user = state['user'] as { color?: unknown } | undefined;
      this.#others.set(client, { line, name: this.#nameOf(client), color: safeColor(user?.color, client) });
    }
    for (const [client, live] of this.#others) {
      if (seen.has(client) || live.ended) continue;
      const rest = { line: live.line, ended: now };
      this.#others.set(client, rest);
      setTimeout(() => {
        if (this.#others.get(client) === rest) this.#others.delete(client);
        this.#request();
      }, LINGER_MS);
    }
    this.#request();
  };
}

/** A stroke out of somebody's presence, if it is one. */
function lineOf(value: unknown, client: number): Line | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { color, width, points } = value as { color?: unknown; width?: unknown; points?: unknown };
  if (!Array.isArray(points) || points.length < 3 || points.length > POINTS * 6) return undefined;
  if (!points.every((number) => typeof number === 'number' && Math.abs(number) < FARTHEST)) return undefined;
  if (typeof width !== 'number' || !(width > 0 && width <= 400)) return undefined;
  return { color: safeColor(color, client), width, points };
}
