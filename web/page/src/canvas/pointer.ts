// From fingers, pens and mice to strokes, erasing, panning and zooming. Of several at once: a pen beats fingers (then
// the palm rests on the screen), two fingers move the paper, one draws; whoever drew with a pen once pans with a finger.
import { moved, toPaper, zoomed, type View } from './camera';

export type Tool = 'pen' | 'eraser' | 'hand';

export interface Hands {
  tool(): Tool;
  view(): View;
  look(view: View): void;
  begin(x: number, y: number, pressure: number): void;
  extend(x: number, y: number, pressure: number): void;
  end(): void;
  cancel(): void;
  eraseBegin(x: number, y: number): void;
  eraseTo(x: number, y: number): void;
  eraseEnd(): void;
  /** Where a mouse or pen is without touching; undefined when it left. */
  hover(x: number | undefined, y: number | undefined): void;
}

type Doing = { what: 'draw' | 'erase' | 'pan'; id: number; pen: boolean } | { what: 'pinch' };

export class Pointers {
  /** Held down: the hand, whatever the tool. */
  space = false;
  #touches = new Map<number, { x: number; y: number }>();
  #doing: Doing | undefined;
  #pinched: { x: number; y: number; apart: number } | undefined;
  #last = { x: 0, y: 0 };
  #penSeen = false;
  readonly #off = new AbortController();

  constructor(
    readonly element: HTMLElement,
    readonly hands: Hands,
  ) {
    const listen = <K extends keyof HTMLElementEventMap>(type: K, to: (event: HTMLElementEventMap[K]) => void, passive = true) =>
      element.addEventListener(type, to, { signal: this.#off.signal, passive });
    listen('pointerdown', this.#down);
    listen('pointermove', this.#move);
    listen('pointerup', this.#up);
    listen('pointercancel', this.#lost);
    listen('pointerleave', () => hands.hover(undefined, undefined));
    listen('wheel', this.#wheel, false);
    listen('contextmenu', (event) => event.preventDefault(), false);
  }

  destroy(): void {
    this.#off.abort();
  }

  #at(event: MouseEvent): { x: number; y: number } {
    const box = this.element.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  #down = (event: PointerEvent): void => {
    const at = this.#at(event);
    const pen = event.pointerType === 'pen';
    this.element.setPointerCapture(event.pointerId);
    if (event.pointerType === 'touch') {
      this.#touches.set(event.pointerId, at);
      if (this.#doing && 'pen' in this.#doing && this.#doing.pen) return;
      if (this.#touches.size === 2) return this.#pinch();
      if (this.#touches.size > 2) return;
    }
    if (pen) {
      this.#penSeen = true;
      if (this.#doing) this.#stop(false);
    } else if (this.#doing) {
      return;
    }
    const what = this.#intent(event);
    this.#doing = { what, id: event.pointerId, pen };
    this.#last = at;
    const [x, y] = toPaper(this.hands.view(), at.x, at.y);
    if (what === 'draw') this.hands.begin(x, y, pressure(event));
    if (what === 'erase') this.hands.eraseBegin(x, y);
  };

  #intent(event: PointerEvent): 'draw' | 'erase' | 'pan' {
    const tool = this.hands.tool();
    if (this.space || event.button === 1 || event.button === 2 || tool === 'hand') return 'pan';
    if (event.pointerType === 'touch' && this.#penSeen) return 'pan';
    // The other end of many pens.
    if (event.pointerType === 'pen' && (event.button === 5 || event.buttons & 32)) return 'erase';
    return tool === 'eraser' ? 'erase' : 'draw';
  }

  #move = (event: PointerEvent): void => {
    const at = this.#at(event);
    if (this.#touches.has(event.pointerId)) this.#touches.set(event.pointerId, at);
    const doing = this.#doing;
    if (doing?.what === 'pinch') return this.#pinchTo();
    if (!doing || doing.id !== event.pointerId) {
      if (!doing && event.pointerType !== 'touch') this.hands.hover(...toPaper(this.hands.view(), at.x, at.y));
      return;
    }
    if (doing.what === 'pan') {
      this.hands.look(moved(this.hands.view(), at.x - this.#last.x, at.y - this.#last.y));
      this.#last = at;
      return;
    }
    const all = event.getCoalescedEvents?.() ?? [];
    for (const one of all.length ? all : [event]) {
      const place = this.#at(one);
      const [x, y] = toPaper(this.hands.view(), place.x, place.y);
      if (doing.what === 'draw') this.hands.extend(x, y, pressure(one));
      else this.hands.eraseTo(x, y);
    }
  };

  #up = (event: PointerEvent): void => this.#release(event, true);
  #lost = (event: PointerEvent): void => this.#release(event, false);

  #release(event: PointerEvent, kept: boolean): void {
    this.#touches.delete(event.pointerId);
    if (!this.#doing) return;
    if (this.#doing.what === 'pinch') {
      if (this.#touches.size < 2) this.#doing = this.#pinched = undefined;
    } else if (this.#doing.id === event.pointerId) {
      this.#stop(kept);
    }
  }

  #stop(kept: boolean): void {
    const doing = this.#doing;
    this.#doing = undefined;
    if (doing?.what === 'draw') kept ? this.hands.end() : this.hands.cancel();
    if (doing?.what === 'erase') this.hands.eraseEnd();
  }

  #pinch(): void {
    this.#stop(false);
    this.#doing = { what: 'pinch' };
    this.#pinched = this.#fingers();
  }

  #pinchTo(): void {
    const now = this.#fingers();
    const before = this.#pinched;
    if (!now || !before) return;
    const panned = moved(this.hands.view(), now.x - before.x, now.y - before.y);
    this.hands.look(zoomed(panned, now.apart / Math.max(1, before.apart), now.x, now.y));
    this.#pinched = now;
  }

  #fingers(): { x: number; y: number; apart: number } | undefined {
    const [a, b] = [...this.#touches.values()];
    return a && b && { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, apart: Math.hypot(a.x - b.x, a.y - b.y) };
  }

  #wheel = (event: WheelEvent): void => {
    event.preventDefault();
    const at = this.#at(event);
    const unit = event.deltaMode === 1 ? 16 : event.deltaMode === 2 ? 400 : 1;
    if (event.ctrlKey || event.metaKey) {
      this.hands.look(zoomed(this.hands.view(), Math.exp(-event.deltaY * unit * 0.005), at.x, at.y));
    } else {
      const [dx, dy] = event.shiftKey && !event.deltaX ? [event.deltaY, 0] : [event.deltaX, event.deltaY];
      this.hands.look(moved(this.hands.view(), -dx * unit, -dy * unit));
    }
  };
}

/** A mouse presses evenly; so do fingers on most screens, which say 0 or 0.5 all along. */
function pressure(event: PointerEvent): number {
  return event.pointerType === 'pen' && event.pressure > 0 ? event.pressure : 1;
}
