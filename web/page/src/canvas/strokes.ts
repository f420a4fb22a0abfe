// The finished strokes of a room: the array `canvas:main`, decoded, in its order, with what one did oneself to undo.
import { canvas } from 'symbolon';
import * as Y from 'yjs';
import { crosses, ink, touches, type Box, type Ink, type Line } from './ink';

export interface Stroke extends Ink {
  line: Line;
}

export interface Change {
  /** Strokes on top of all others: they need only be drawn. */
  added: Stroke[];
  /** Where something else changed. */
  stale: Box[];
}

export class Strokes {
  /** In the array's order; undefined is a value that is no stroke. */
  all: (Stroke | undefined)[] = [];
  readonly undo: Y.UndoManager;
  readonly #array: Y.Array<Uint8Array>;
  readonly #mine = Symbol('own strokes');
  readonly #onChange: (change: Change) => void;

  constructor(doc: Y.Doc, onChange: (change: Change) => void) {
    this.#array = doc.getArray<Uint8Array>('canvas:main');
    this.#onChange = onChange;
    // Steps are cut by hand, one to a gesture.
    this.undo = new Y.UndoManager(this.#array, { trackedOrigins: new Set([this.#mine]), captureTimeout: Infinity });
    this.all = this.#array.toArray().map(decode);
    this.#array.observe(this.#observe);
  }

  destroy(): void {
    this.#array.unobserve(this.#observe);
    this.undo.destroy();
  }

  get count(): number {
    return this.all.reduce((count, stroke) => count + (stroke ? 1 : 0), 0);
  }

  /** The next change is a step of its own to undo. */
  begin(): void {
    this.undo.stopCapturing();
  }

  add(line: Line): void {
    const bytes = canvas.encodeStroke({ ...line, points: Float64Array.from(line.points) });
    this.#array.doc?.transact(() => this.#array.push([bytes]), this.#mine);
  }

  /** Takes away every stroke that this way crosses. */
  erase(fromX: number, fromY: number, toX: number, toY: number, reach: number): number {
    const swept: Box = {
      left: Math.min(fromX, toX) - reach,
      top: Math.min(fromY, toY) - reach,
      right: Math.max(fromX, toX) + reach,
      bottom: Math.max(fromY, toY) + reach,
    };
    const hit: number[] = [];
    this.all.forEach((stroke, i) => {
      if (stroke && touches(stroke.box, swept) && crosses(stroke.line, fromX, fromY, toX, toY, reach)) hit.push(i);
    });
    if (hit.length) {
      this.#array.doc?.transact(() => {
        for (const i of hit.reverse()) this.#array.delete(i, 1);
      }, this.#mine);
    }
    return hit.length;
  }

  encoded(): Uint8Array[] {
    return this.#array.toArray().filter((value) => value instanceof Uint8Array);
  }

  #observe = (event: Y.YArrayEvent<Uint8Array>): void => {
    const added: Stroke[] = [];
    const stale: Box[] = [];
    let at = 0;
    for (const { retain, insert, delete: deleted } of event.changes.delta) {
      if (retain !== undefined) at += retain;
      if (deleted !== undefined) {
        for (const stroke of this.all.splice(at, deleted)) if (stroke) stale.push(stroke.box);
      }
      if (insert !== undefined) {
        const strokes = (insert as unknown[]).map(decode);
        const onTop = at === this.all.length;
        this.all.splice(at, 0, ...strokes);
        at += strokes.length;
        for (const stroke of strokes) {
          if (!stroke) continue;
          if (onTop) added.push(stroke);
          else stale.push(stroke.box);
        }
      }
    }
    this.#onChange({ added, stale });
  };
}

/** Members write what they like into the array: whatever is no stroke is not shown. */
function decode(value: unknown): Stroke | undefined {
  if (!(value instanceof Uint8Array)) return undefined;
  try {
    const line = canvas.decodeStroke(value);
    return { ...ink(line), line };
  } catch {
    return undefined;
  }
}
