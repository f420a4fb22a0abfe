// Which part of the endless paper shows: screen = paper × scale + offset, in CSS pixels.
import type { Box } from './ink';

export interface View {
  x: number;
  y: number;
  scale: number;
}

export const MIN_SCALE = 0.05;
export const MAX_SCALE = 20;

export function zoomed(view: View, factor: number, atX: number, atY: number): View {
  const scale = Math.min(MAX_SCALE, Math.max(MIN_SCALE, view.scale * factor));
  const by = scale / view.scale;
  return { scale, x: atX - (atX - view.x) * by, y: atY - (atY - view.y) * by };
}

export function moved(view: View, dx: number, dy: number): View {
  return { ...view, x: view.x + dx, y: view.y + dy };
}

export function toPaper(view: View, x: number, y: number): [number, number] {
  return [(x - view.x) / view.scale, (y - view.y) / view.scale];
}

export function shownBox(view: View, width: number, height: number): Box {
  const [left, top] = toPaper(view, 0, 0);
  const [right, bottom] = toPaper(view, width, height);
  return { left, top, right, bottom };
}

/** All of it in sight, not larger than it is. */
export function fitted(box: Box | undefined, width: number, height: number): View {
  if (!box) return { x: 0, y: 0, scale: 1 };
  const margin = 32;
  const wide = Math.max(1, box.right - box.left);
  const high = Math.max(1, box.bottom - box.top);
  const scale = Math.max(MIN_SCALE, Math.min(1, (width - 2 * margin) / wide, (height - 2 * margin) / high));
  return {
    scale,
    x: (width - wide * scale) / 2 - box.left * scale,
    y: (height - high * scale) / 2 - box.top * scale,
  };
}
