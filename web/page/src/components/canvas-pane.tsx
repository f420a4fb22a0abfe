import type { ComponentType } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import type { Opened } from '../model/room';

interface Props {
  opened: Opened;
  shown: boolean;
}

/** The canvas, loaded when it is first looked at. */
export function CanvasPane(props: Props) {
  const [Pane, setPane] = useState<ComponentType<Props>>();
  useEffect(() => void import('../canvas/pane').then((module) => setPane(() => module.default)), []);
  return Pane ? <Pane {...props} /> : <p class="loading">Loading the canvas…</p>;
}
