// The canvas without its buttons: strokes, board, pointers and presence put together.
import { canvas as codec } from 'symbolon';
import type { Awareness } from 'y-protocols/awareness';
import type { NameOf } from '../model/room';
import type * as Y from 'yjs';
import { isDark, onThemeChange } from '../model/theme';
import { Board, toPng, type Live } from './board';
import { fitted, zoomed, type View } from './camera';
import { around, type Line } from './ink';
import { Pointers, type Tool } from './pointer';
import { LiveStrokes } from './presence';
import { Strokes } from './strokes';

/** Longer ones go on as a new stroke. */
const MAX_POINTS = 4000;
/** Steps shorter than this on the screen say nothing. */
const STEP_PX = 0.8;
const ERASER_PX = 9;

export interface Settings {
  tool: Tool;
  color: string;
  width: number;
}

export class Canvas {
  readonly strokes: Strokes;
  readonly board: Board;
  settings: Settings = { tool: 'pen', color: '#1c2422', width: 4 };
  /** Whether somebody draws right now. */
  get busy(): boolean {
    return !this.#lines().next().done;
  }

  onView: (view: View) => void = () => {};
  readonly #live: LiveStrokes;
  readonly #pointers: Pointers;
  readonly #offTheme: () => void;
  readonly #resized: ResizeObserver;
  #own: { color: string; width: number; points: number[] } | undefined;
  #erasing: { x: number; y: number } | undefined;
  #placed = false;

  constructor(element: HTMLCanvasElement, doc: Y.Doc, awareness: Awareness, nameOf: NameOf, onStrokes: () => void) {
    this.board = new Board(element, () => this.strokes);
    this.strokes = new Strokes(doc, (change) => {
      this.board.changed(change);
      onStrokes();
    });
    this.#live = new LiveStrokes(awareness, nameOf, () => {
      this.board.request();
      if (!this.strokes.count) onStrokes();
    });
    this.board.live = () => this.#lines();
    this.board.setDark(isDark());
    this.#offTheme = onThemeChange(() => this.board.setDark(isDark()));
    this.#pointers = new Pointers(element, this.#hands());
    this.#resized = new ResizeObserver(() => {
      const { width, height } = element.parentElement?.getBoundingClientRect() ?? element.getBoundingClientRect();
      if (!width || !height) return;
      this.board.resize(width, height);
      if (!this.#placed) {
        this.#placed = true;
        this.fit();
      }
    });
    this.#resized.observe(element.parentElement ?? element);
  }

  destroy(): void {
    this.#resized.disconnect();
    this.#pointers.destroy();
    this.#live.destroy();
    this.#offTheme();
    this.board.destroy();
    this.strokes.destroy();
  }

  set space(held: boolean) {
    this.#pointers.space = held;
  }

  look(view: View): void {
    this.board.look(view);
    this.onView(view);
  }

  zoom(factor: number): void {
    this.look(zoomed(this.board.view, factor, this.board.width / 2, this.board.height / 2));
  }

  pan(dx: number, dy: number): void {
    const { x, y, scale } = this.board.view;
    this.look({ scale, x: x + dx, y: y + dy });
  }

  fit(): void {
    this.look(fitted(this.#extent(), this.board.width, this.board.height));
  }

  svg(): Blob {
    return new Blob([codec.strokesToSvg(this.strokes.encoded())], { type: 'image/svg+xml' });
  }

  png(): Promise<Blob> {
    return toPng(this.strokes, this.#extent() ?? { left: 0, top: 0, right: 1, bottom: 1 });
  }

  #extent() {
    return around(this.strokes.all.flatMap((stroke) => (stroke ? [stroke.box] : [])));
  }

  *#lines(): Generator<Live> {
    yield* this.#live.others();
    if (this.#own) yield { line: this.#own };
  }

  #begin(x: number, y: number, pressure: number): void {
    const { color, width } = this.settings;
    this.#own = { color, width: width / this.board.view.scale, points: [x, y, pressure] };
    this.strokes.begin();
    this.board.request();
  }

  #extend(x: number, y: number, pressure: number): void {
    const own = this.#own;
    if (!own) return;
    const { points } = own;
    const far = Math.hypot(x - (points.at(-3) ?? x), y - (points.at(-2) ?? y));
    if (far * this.board.view.scale < STEP_PX) return;
    points.push(x, y, pressure);
    this.#live.tell(own);
    if (points.length >= MAX_POINTS * 3) {
      this.strokes.add(own);
      this.#own = { ...own, points: [x, y, pressure] };
    }
    this.board.request();
  }

  #end(): void {
    const own: Line | undefined = this.#own;
    this.#own = undefined;
    // First the stroke, then the end of its presence: the others never see it missing.
    if (own) this.strokes.add(own);
    this.#live.tell(undefined);
    this.board.request();
  }

  #erase(x: number, y: number): void {
    const reach = ERASER_PX / this.board.view.scale;
    const from = this.#erasing ?? { x, y };
    this.strokes.erase(from.x, from.y, x, y, reach);
    this.#erasing = { x, y };
    this.board.eraser = { x, y, reach };
    this.board.request();
  }

  #hands() {
    return {
      tool: () => this.settings.tool,
      view: () => this.board.view,
      look: (view: View) => this.look(view),
      begin: (x: number, y: number, pressure: number) => this.#begin(x, y, pressure),
      extend: (x: number, y: number, pressure: number) => this.#extend(x, y, pressure),
      end: () => this.#end(),
      cancel: () => {
        this.#own = undefined;
        this.#live.tell(undefined);
        this.board.request();
      },
      eraseBegin: (x: number, y: number) => {
        this.strokes.begin();
        this.#erasing = undefined;
        this.#erase(x, y);
      },
      eraseTo: (x: number, y: number) => this.#erase(x, y),
      eraseEnd: () => {
        this.#erasing = undefined;
        this.board.eraser = undefined;
        this.board.request();
      },
      hover: (x: number | undefined, y: number | undefined) => {
        const shown = this.settings.tool === 'eraser' && x !== undefined && y !== undefined;
        this.board.eraser = shown ? { x, y, reach: ERASER_PX / this.board.view.scale } : undefined;
        this.board.request();
      },
    };
  }
}
