// Strokes as they are drawn: the same shape as the export of the core, a chain of curves each of one width.

/** A stroke: x, y and pressure (0 to 1) of each point, one after the other. */
export interface Line {
  color: string;
  width: number;
  points: ArrayLike<number>;
}

export interface Box {
  left: number;
  top: number;
  right: number;
  bottom: number;
}

interface Stretch {
  width: number;
  path: Path2D;
}

/** Stretches of one width, ready to be drawn again and again. */
export interface Ink {
  color: string;
  width: number;
  box: Box;
  stretches: Stretch[];
  /** All of it in one width, for when it is too thin to see the difference. */
  thin(): Stretch[];
}

/** Below this many pixels, pressure cannot be seen. */
const THIN_PX = 2;

const STEPS = 16;

export function ink({ color, width, points }: Line): Ink {
  const stretches = stretchesOf(points, (pressure) => widthAt(width, pressure));
  let thin: Stretch[] | undefined;
  return {
    color,
    width,
    box: extent(points, width),
    stretches,
    thin: () => (thin ??= stretches.length > 1 ? stretchesOf(points, () => width * 0.7) : stretches),
  };
}

function stretchesOf(points: ArrayLike<number>, widthOf: (pressure: number) => number): Stretch[] {
  const stretches: Stretch[] = [];
  const count = Math.floor(points.length / 3);
  const x = (i: number) => points[i * 3] ?? 0;
  const y = (i: number) => points[i * 3 + 1] ?? 0;
  let last = 0;
  let penX = x(0);
  let penY = y(0);
  let path: Path2D | undefined;
  for (let i = 0; i < count; i++) {
    const wide = widthOf(points[i * 3 + 2] ?? 1);
    if (!path || wide !== last) {
      path = new Path2D();
      path.moveTo(penX, penY);
      stretches.push({ width: wide, path });
      last = wide;
    }
    const end = i + 1 >= count;
    const nextX = end ? x(i) : (x(i) + x(i + 1)) / 2;
    const nextY = end ? y(i) : (y(i) + y(i + 1)) / 2;
    if (i === 0 || end) path.lineTo(nextX, nextY);
    else path.quadraticCurveTo(x(i), y(i), nextX, nextY);
    penX = nextX;
    penY = nextY;
  }
  return stretches;
}

/** By the pressure, in sixteen steps from a quarter of the width to the whole. */
function widthAt(width: number, pressure: number): number {
  const step = Math.round(Math.min(1, Math.max(0, pressure)) * 255) >> 4;
  return (width * (1 + (3 * step) / (STEPS - 1))) / 4;
}

export function extent(points: ArrayLike<number>, width: number): Box {
  const box = { left: Infinity, top: Infinity, right: -Infinity, bottom: -Infinity };
  const reach = width / 2 + 1;
  for (let i = 0; i + 1 < points.length; i += 3) {
    const x = points[i] ?? 0;
    const y = points[i + 1] ?? 0;
    box.left = Math.min(box.left, x - reach);
    box.top = Math.min(box.top, y - reach);
    box.right = Math.max(box.right, x + reach);
    box.bottom = Math.max(box.bottom, y + reach);
  }
  return box;
}

export function touches(a: Box, b: Box): boolean {
  return a.left <= b.right && b.left <= a.right && a.top <= b.bottom && b.top <= a.bottom;
}

export function around(boxes: Iterable<Box>): Box | undefined {
  let all: Box | undefined;
  for (const box of boxes) {
    all = all
      ? {
          left: Math.min(all.left, box.left),
          top: Math.min(all.top, box.top),
          right: Math.max(all.right, box.right),
          bottom: Math.max(all.bottom, box.bottom),
        }
      : { ...box };
  }
  return all;
}

/** Draws a stroke, at that many pixels to its unit; says how many stretches that took. */
export function draw(context: CanvasRenderingContext2D, ink: Ink, dark: boolean, scale: number): number {
  const { color } = ink;
  const stretches = ink.width * scale < THIN_PX ? ink.thin() : ink.stretches;
  context.strokeStyle = dark ? onDark(color) : color;
  context.lineCap = 'round';
  context.lineJoin = 'round';
  for (const { width, path } of stretches) {
    context.lineWidth = width;
    context.stroke(path);
  }
  return stretches.length;
}

const shades = new Map<string, string>();

/** On dark paper black ink is white; what is bright enough stays as it is. */
export function onDark(color: string): string {
  let shade = shades.get(color);
  if (shade === undefined) {
    const [r, g, b] = [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16) / 255) as [number, number, number];
    const light = 0.2126 * r + 0.7152 * g + 0.0722 * b;
    const lift = light < 0.25 ? 0.82 - light : light < 0.45 ? 0.22 : 0;
    const up = (value: number) => Math.round(Math.min(1, value + lift * (1 - value * 0.4)) * 255);
    shade = `rgb(${up(r)} ${up(g)} ${up(b)})`;
    if (shades.size > 500) shades.clear();
    shades.set(color, shade);
  }
  return shade;
}

/** Whether the way from one place to another comes within the reach of a stroke. */
export function crosses(line: Line, fromX: number, fromY: number, toX: number, toY: number, reach: number): boolean {
  const { points } = line;
  const near = reach + line.width / 2;
  const count = Math.floor(points.length / 3);
  for (let i = 0; i < count; i++) {
    const j = Math.max(0, i - 1);
    const [ax, ay] = [points[j * 3] ?? 0, points[j * 3 + 1] ?? 0];
    const [bx, by] = [points[i * 3] ?? 0, points[i * 3 + 1] ?? 0];
    if (apart(ax, ay, bx, by, fromX, fromY, toX, toY) <= near) return true;
  }
  return false;
}

/** The distance of two segments. */
function apart(ax: number, ay: number, bx: number, by: number, cx: number, cy: number, dx: number, dy: number): number {
  const side = (px: number, py: number, qx: number, qy: number, rx: number, ry: number) =>
    Math.sign((qx - px) * (ry - py) - (qy - py) * (rx - px));
  if (
    side(ax, ay, bx, by, cx, cy) * side(ax, ay, bx, by, dx, dy) < 0 &&
    side(cx, cy, dx, dy, ax, ay) * side(cx, cy, dx, dy, bx, by) < 0
  ) {
    return 0;
  }
  return Math.min(
    toSegment(ax, ay, cx, cy, dx, dy),
    toSegment(bx, by, cx, cy, dx, dy),
    toSegment(cx, cy, ax, ay, bx, by),
    toSegment(dx, dy, ax, ay, bx, by),
  );
}

function toSegment(px: number, py: number, ax: number, ay: number, bx: number, by: number): number {
  const [dx, dy] = [bx - ax, by - ay];
  const length = dx * dx + dy * dy;
  const t = length ? Math.min(1, Math.max(0, ((px - ax) * dx + (py - ay) * dy) / length)) : 0;
  return Math.hypot(px - ax - t * dx, py - ay - t * dy);
}
