// Draws the paper. Finished strokes are kept as a bitmap of the current view; a frame is that bitmap and the strokes
// under way. When the view moves, the old bitmap is shown moved until the new one is done, some milliseconds a frame:
// so thousands of strokes stay fluid.
import { shownBox, type View } from './camera';
import { draw, ink, touches, type Box, type Line } from './ink';
import type { Change, Strokes } from './strokes';

/** A stroke under way, somebody else's with a name to it. */
export interface Live {
  line: Line;
  name?: string;
  color?: string;
}

// A frame's share of a new bitmap. Browsers put the drawing itself off, so time alone does not bound it.
const BUDGET_MS = 6;
const STRETCHES_AT_REST = 1500;
const STRETCHES_MOVING = 350;
/** The view counts as moving for so long after it moved. */
const MOVING_MS = 120;
const MAX_RATIO = 2;

interface Bitmap {
  canvas: HTMLCanvasElement;
  context: CanvasRenderingContext2D;
  view: View;
}

export class Board {
  view: View = { x: 0, y: 0, scale: 1 };
  dark = false;
  width = 0;
  height = 0;
  live: () => Iterable<Live> = () => [];
  /** Where the eraser is, in paper coordinates. */
  eraser: { x: number; y: number; reach: number } | undefined;

  readonly #screen: HTMLCanvasElement;
  readonly #context: CanvasRenderingContext2D;
  #front: Bitmap;
  #back: Bitmap;
  /** How many strokes the back bitmap has; undefined if none is being made. */
  #progress: number | undefined;
  #stale = true;
  #ratio = 1;
  #frame = 0;
  #moved = 0;

  constructor(
    screen: HTMLCanvasElement,
    readonly strokes: () => Strokes,
  ) {
    this.#screen = screen;
    this.#context = context(screen);
    this.#front = bitmap(this.view);
    this.#back = bitmap(this.view);
  }

  destroy(): void {
    cancelAnimationFrame(this.#frame);
  }

  resize(width: number, height: number): void {
    this.#ratio = Math.min(MAX_RATIO, devicePixelRatio || 1);
    this.width = width;
    this.height = height;
    for (const canvas of [this.#screen, this.#front.canvas, this.#back.canvas]) {
      canvas.width = Math.max(1, Math.round(width * this.#ratio));
      canvas.height = Math.max(1, Math.round(height * this.#ratio));
    }
    this.stale();
  }

  look(view: View): void {
    this.view = view;
    this.#moved = performance.now();
    this.request();
  }

  setDark(dark: boolean): void {
    this.dark = dark;
    this.stale();
  }

  /** All finished strokes have to be drawn anew. */
  stale(): void {
    this.#stale = true;
    this.request();
  }

  changed({ added, stale }: Change): void {
    const settled = this.#progress === undefined && !this.#stale && same(this.#front.view, this.view);
    if (!settled) this.stale();
    else if (stale.length) for (const box of stale) this.#repair(box);
    if (settled && !stale.length) {
      this.#aim(this.#front);
      for (const stroke of added) draw(this.#front.context, stroke, this.dark, this.#pixels(this.#front.view));
    }
    this.request();
  }

  request(): void {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.#paint();
    });
  }

  #paint(): void {
    if (!this.width) return;
    this.#advance();
    const screen = this.#context;
    screen.setTransform(1, 0, 0, 1, 0, 0);
    screen.clearRect(0, 0, this.#screen.width, this.#screen.height);
    const from = this.#front.view;
    const by = this.view.scale / from.scale;
    screen.setTransform(by, 0, 0, by, (this.view.x - from.x * by) * this.#ratio, (this.view.y - from.y * by) * this.#ratio);
    screen.drawImage(this.#front.canvas, 0, 0);
    this.#aim({ context: screen, view: this.view });
    const live = [...this.live()];
    for (const { line } of live) draw(screen, ink(line), this.dark, this.#pixels(this.view));
    screen.setTransform(this.#ratio, 0, 0, this.#ratio, 0, 0);
    for (const one of live) if (one.name) this.#label(one);
    if (this.eraser) this.#ring(this.eraser);
  }

  /** Goes on with the back bitmap, within the frame's budget. */
  #advance(): void {
    if (this.#progress === undefined) {
      if (!this.#stale && same(this.#front.view, this.view)) return;
      this.#stale = false;
      this.#progress = 0;
      this.#back.view = this.view;
      this.#back.context.setTransform(1, 0, 0, 1, 0, 0);
      this.#back.context.clearRect(0, 0, this.#back.canvas.width, this.#back.canvas.height);
    } else if (this.#stale) {
      // The strokes changed meanwhile: from the start, in the view of now.
      this.#progress = undefined;
      return this.#advance();
    }
    const { all } = this.strokes();
    const shown = shownBox(this.#back.view, this.width, this.height);
    const now = performance.now();
    const until = now + BUDGET_MS;
    let left = now - this.#moved < MOVING_MS ? STRETCHES_MOVING : STRETCHES_AT_REST;
    const scale = this.#pixels(this.#back.view);
    this.#aim(this.#back);
    let at = this.#progress;
    for (; at < all.length; at++) {
      const stroke = all[at];
      if (stroke && touches(stroke.box, shown)) left -= draw(this.#back.context, stroke, this.dark, scale);
      if (left < 0 || ((at & 15) === 15 && performance.now() > until)) break;
    }
    if (at < all.length) {
      this.#progress = at + 1;
    } else {
      [this.#front, this.#back] = [this.#back, this.#front];
      this.#progress = undefined;
      if (same(this.#front.view, this.view)) return;
    }
    this.request();
  }

  /** Draws one part of the front bitmap anew. */
  #repair(box: Box): void {
    const { context: to } = this.#front;
    to.save();
    this.#aim(this.#front);
    to.beginPath();
    to.rect(box.left, box.top, box.right - box.left, box.bottom - box.top);
    to.clip();
    to.clearRect(box.left, box.top, box.right - box.left, box.bottom - box.top);
    for (const stroke of this.strokes().all) if (stroke && touches(stroke.box, box)) draw(to, stroke, this.dark, this.#pixels(this.#front.view));
    to.restore();
  }

  /** Device pixels to a unit of the paper. */
  #pixels(view: View): number {
    return view.scale * this.#ratio;
  }

  #aim({ context: to, view }: Pick<Bitmap, 'context' | 'view'>): void {
    const scale = this.#pixels(view);
    to.setTransform(scale, 0, 0, scale, view.x * this.#ratio, view.y * this.#ratio);
  }

  #label({ line, name, color }: Live): void {
    const { points } = line;
    const at = points.length - 3;
    if (at < 0 || !name) return;
    const x = (points[at] ?? 0) * this.view.scale + this.view.x;
    const y = (points[at + 1] ?? 0) * this.view.scale + this.view.y;
    const to = this.#context;
    to.font = '600 12px system-ui, sans-serif';
    const wide = to.measureText(name).width + 14;
    to.fillStyle = color ?? '#444444';
    to.beginPath();
    to.roundRect(x + 10, y + 8, wide, 22, 8);
    to.fill();
    to.fillStyle = '#ffffff';
    to.textBaseline = 'middle';
    to.fillText(name, x + 17, y + 19.5);
  }

  #ring({ x, y, reach }: { x: number; y: number; reach: number }): void {
    const to = this.#context;
    to.strokeStyle = this.dark ? '#ffffff' : '#000000';
    to.lineWidth = 1.5;
    to.beginPath();
    to.arc(x * this.view.scale + this.view.x, y * this.view.scale + this.view.y, reach * this.view.scale, 0, 2 * Math.PI);
    to.stroke();
  }
}

function same(a: View, b: View): boolean {
  return a.x === b.x && a.y === b.y && a.scale === b.scale;
}

function context(canvas: HTMLCanvasElement): CanvasRenderingContext2D {
  const context = canvas.getContext('2d');
  if (!context) throw new Error('this browser cannot draw');
  return context;
}

function bitmap(view: View): Bitmap {
  const canvas = document.createElement('canvas');
  return { canvas, context: context(canvas), view };
}

/** A PNG of all strokes on white, at most this wide or high. */
export async function toPng(strokes: Strokes, box: Box): Promise<Blob> {
  const margin = 16;
  const wide = box.right - box.left + 2 * margin;
  const high = box.bottom - box.top + 2 * margin;
  const scale = Math.min(2, MAX_PNG / Math.max(wide, high));
  const { canvas, context: to } = bitmap({ x: 0, y: 0, scale: 1 });
  canvas.width = Math.ceil(wide * scale);
  canvas.height = Math.ceil(high * scale);
  to.fillStyle = '#ffffff';
  to.fillRect(0, 0, canvas.width, canvas.height);
  to.setTransform(scale, 0, 0, scale, (margin - box.left) * scale, (margin - box.top) * scale);
  for (const stroke of strokes.all) if (stroke) draw(to, stroke, false, Infinity);
  return new Promise((done, fail) =>
    canvas.toBlob((blob) => (blob ? done(blob) : fail(new Error('the drawing is too large'))), 'image/png'),
  );
}

const MAX_PNG = 8192;
