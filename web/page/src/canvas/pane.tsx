import { useEffect, useRef, useState } from 'preact/hooks';
import { download } from '../model/download';
import { remember, remembered } from '../model/prefs';
import type { Opened } from '../model/room';
import { useAgain } from '../model/hooks';
import { isDark, onThemeChange } from '../model/theme';
import { tell } from '../components/toasts';
import { Icon } from '../components/icons';
import { Canvas, type Settings } from './canvas';
import { COLORS, PenTools, WIDTHS } from './tools';

interface Props {
  opened: Opened;
  shown: boolean;
}

export default function CanvasPane({ opened, shown }: Props) {
  const element = useRef<HTMLCanvasElement>(null);
  const [canvas, setCanvas] = useState<Canvas>();
  const [settings, setSettings] = useState<Settings>(() => ({ tool: 'pen', color: remembered('pen') ?? COLORS[0].value, width: 4 }));
  const [scale, setScale] = useState(1);
  const again = useAgain();
  useEffect(() => onThemeChange(again), []);

  useEffect(() => {
    if (!element.current) return;
    const made = new Canvas(element.current, opened.doc, opened.awareness, opened.nameOf, again);
    made.onView = (view) => setScale(view.scale);
    made.strokes.undo.on('stack-item-added', again);
    made.strokes.undo.on('stack-item-popped', again);
    setCanvas(made);
    return () => made.destroy();
  }, [opened]);
  if (canvas) canvas.settings = settings;

  const choose = (change: Partial<Settings>) => {
    if (change.color) remember('pen', change.color);
    setSettings((now) => ({ ...now, ...change }));
  };

  useEffect(() => {
    if (!canvas || !shown) return;
    const down = (event: KeyboardEvent) => {
      if (typing(event) || document.querySelector('dialog[open]')) return;
      if (event.key === ' ' && !onButton(event)) {
        canvas.space = true;
        element.current?.classList.add('moving');
        event.preventDefault();
      } else if (act(event, canvas, settings, choose)) {
        event.preventDefault();
      }
    };
    const up = (event: KeyboardEvent) => {
      if (event.key !== ' ') return;
      canvas.space = false;
      element.current?.classList.remove('moving');
    };
    addEventListener('keydown', down);
    addEventListener('keyup', up);
    return () => {
      removeEventListener('keydown', down);
      removeEventListener('keyup', up);
    };
  }, [canvas, shown, settings]);

  const count = canvas?.strokes.count ?? 0;
  const save = async (kind: 'svg' | 'png') => {
    if (!canvas) return;
    download(kind === 'svg' ? canvas.svg() : await canvas.png(), `${opened.room.name}.${kind}`);
    tell(`Drawing saved as ${kind.toUpperCase()}.`);
  };

  return (
    <div class="canvas-pane">
      <div class="tools" role="toolbar" aria-label="Canvas">
        <PenTools settings={settings} dark={isDark()} onChoose={choose} />
        <span class="rule" aria-hidden="true" />
        <button class="bare" type="button" aria-label="Undo" title="Undo your last stroke (Ctrl+Z)" disabled={!canvas?.strokes.undo.undoStack.length} onClick={() => canvas?.strokes.undo.undo()}>
          <Icon name="undo" />
        </button>
        <button class="bare" type="button" aria-label="Redo" title="Redo (Ctrl+Shift+Z)" disabled={!canvas?.strokes.undo.redoStack.length} onClick={() => canvas?.strokes.undo.redo()}>
          <Icon name="redo" />
        </button>
        <div class="group export" role="group" aria-label="Save">
          {(['svg', 'png'] as const).map((kind) => (
            <button
              key={kind}
              class="bare text"
              type="button"
              aria-label={`Save as ${kind.toUpperCase()}`}
              title={`Save as ${kind.toUpperCase()}`}
              disabled={!count}
              onClick={() => void save(kind)}
            >
              <Icon name="download" /> {kind.toUpperCase()}
            </button>
          ))}
        </div>
      </div>
      <div class="paper">
        <canvas ref={element} class={`tool-${settings.tool}`} role="img" aria-label={count === 1 ? 'Drawing of 1 stroke' : `Drawing of ${count} strokes`} />
        {count === 0 && !canvas?.busy && <p class="paper-hint">Draw here. Everyone in the room sees it while you draw.</p>}
        <div class="zoom" role="toolbar" aria-label="Zoom">
          <button class="bare" type="button" aria-label="Zoom out" title="Zoom out (−)" onClick={() => canvas?.zoom(1 / 1.25)}>
            <Icon name="minus" />
          </button>
          <button class="bare text" type="button" aria-label={`${Math.round(scale * 100)} %, show actual size`} title="Actual size (1)" onClick={() => canvas?.zoom(1 / scale)}>
            {Math.round(scale * 100)} %
          </button>
          <button class="bare" type="button" aria-label="Zoom in" title="Zoom in (+)" onClick={() => canvas?.zoom(1.25)}>
            <Icon name="plus" />
          </button>
          <button class="bare" type="button" aria-label="Show everything" title="Show everything (0)" onClick={() => canvas?.fit()}>
            <Icon name="fit" />
          </button>
        </div>
      </div>
    </div>
  );
}

const PAN_PX = 60;

/** What a key does here; false if nothing. */
function act(event: KeyboardEvent, canvas: Canvas, settings: Settings, choose: (change: Partial<Settings>) => void): boolean {
  const key = event.key.toLowerCase();
  const { undo } = canvas.strokes;
  if (event.ctrlKey || event.metaKey) {
    if (key === 'z') event.shiftKey ? undo.redo() : undo.undo();
    else if (key === 'y') undo.redo();
    else return false;
    return true;
  }
  if (event.altKey) return false;
  const width = WIDTHS.indexOf(settings.width as (typeof WIDTHS)[number]);
  const onPaper = !onButton(event);
  const actions: Record<string, (() => void) | undefined> = {
    p: () => choose({ tool: 'pen' }),
    e: () => choose({ tool: 'eraser' }),
    h: () => choose({ tool: 'hand' }),
    '[': () => choose({ width: WIDTHS[Math.max(0, width - 1)] ?? settings.width }),
    ']': () => choose({ width: WIDTHS[Math.min(WIDTHS.length - 1, width + 1)] ?? settings.width }),
    '+': () => canvas.zoom(1.25),
    '=': () => canvas.zoom(1.25),
    '-': () => canvas.zoom(1 / 1.25),
    '0': () => canvas.fit(),
    '1': () => canvas.zoom(1 / canvas.board.view.scale),
    arrowleft: onPaper ? () => canvas.pan(PAN_PX, 0) : undefined,
    arrowright: onPaper ? () => canvas.pan(-PAN_PX, 0) : undefined,
    arrowup: onPaper ? () => canvas.pan(0, PAN_PX) : undefined,
    arrowdown: onPaper ? () => canvas.pan(0, -PAN_PX) : undefined,
  };
  const action = actions[key];
  action?.();
  return action !== undefined;
}

function typing(event: KeyboardEvent): boolean {
  const target = event.composedPath()[0];
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
}

function onButton(event: KeyboardEvent): boolean {
  return event.target instanceof HTMLElement && event.target.closest('button, summary, [role=tab], [role=radio]') !== null;
}
