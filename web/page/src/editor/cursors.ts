// Where the others are in the text. The same awareness field as y-codemirror.next's (`cursor`: anchor and head as
// relative positions), so that every editor shows every other's; but a name is that of the member who signed the state,
// and a colour is shown only if it is a plain one.
import { type Range, RangeSet } from '@codemirror/state';
import { Decoration, type DecorationSet, EditorView, ViewPlugin, type ViewUpdate, WidgetType } from '@codemirror/view';
import type { Awareness } from 'y-protocols/awareness';
import * as Y from 'yjs';
import { safeColor } from '../model/people';
import type { NameOf } from '../model/room';

/** How long a name stays beside a cursor that moved. */
const NAMED_MS = 2500;

interface Remote {
  client: number;
  name: string;
  color: string;
  anchor: number;
  head: number;
  moved: number;
}

export function remoteCursors(text: Y.Text, awareness: Awareness, nameOf: NameOf) {
  const plugin = ViewPlugin.define((view) => new Cursors(view, text, awareness, nameOf), {
    decorations: (cursors) => cursors.decorations,
  });
  return [plugin, styles];
}

class Cursors {
  decorations: DecorationSet = RangeSet.empty;
  #seen = new Map<number, { key: string; at: number }>();
  #timer = 0;
  #queued = 0;

  constructor(
    readonly view: EditorView,
    readonly text: Y.Text,
    readonly awareness: Awareness,
    readonly nameOf: NameOf,
  ) {
    awareness.on('change', this.#changed);
    this.#redraw();
  }

  update(update: ViewUpdate): void {
    if (update.docChanged || update.selectionSet || update.focusChanged) this.#tell();
    // The document and the Y.Text agree again only after this update; draw then.
    if (update.docChanged) this.decorations = this.decorations.map(update.changes);
    if (update.docChanged) this.#later();
  }

  destroy(): void {
    this.awareness.off('change', this.#changed);
    clearTimeout(this.#timer);
    cancelAnimationFrame(this.#queued);
  }

  #changed = ({ added, updated, removed }: { added: number[]; updated: number[]; removed: number[] }): void => {
    if ([...added, ...updated, ...removed].some((client) => client !== this.awareness.clientID)) this.#later();
  };

  #later(): void {
    this.#queued ||= requestAnimationFrame(() => {
      this.#queued = 0;
      this.#redraw();
      this.view.dispatch({});
    });
  }

  #tell(): void {
    const { view, awareness } = this;
    if (!view.hasFocus || !awareness.getLocalState()) return;
    const { anchor, head } = view.state.selection.main;
    // After the change has reached the Y.Text, where positions are counted.
    queueMicrotask(() => {
      if (Math.max(anchor, head) > this.text.length) return;
      const cursor = {
        anchor: Y.createRelativePositionFromTypeIndex(this.text, anchor),
        head: Y.createRelativePositionFromTypeIndex(this.text, head),
      };
      const before: unknown = awareness.getLocalState()?.['cursor'];
      if (JSON.stringify(before) !== JSON.stringify(cursor)) awareness.setLocalStateField('cursor', cursor);
    });
  }

  #redraw(): void {
    const now = Date.now();
    const ranges: Range<Decoration>[] = [];
    let next = Infinity;
    for (const remote of this.#remotes(now)) {
      const [from, to] = [Math.min(remote.anchor, remote.head), Math.max(remote.anchor, remote.head)];
      if (from < to) {
        ranges.push(Decoration.mark({ class: 'remote-selection', attributes: { style: `--remote: ${remote.color}` } }).range(from, to));
      }
      const named = now - remote.moved < NAMED_MS;
      if (named) next = Math.min(next, remote.moved + NAMED_MS - now);
      ranges.push(Decoration.widget({ side: 10, widget: new Caret(remote.name, remote.color, named) }).range(remote.head));
    }
    this.decorations = Decoration.set(ranges, true);
    clearTimeout(this.#timer);
    if (next < Infinity) this.#timer = window.setTimeout(() => this.#later(), next + 20);
  }

  *#remotes(now: number): Iterable<Remote> {
    const { doc } = this.text;
    const length = this.view.state.doc.length;
    if (!doc) return;
    for (const [client, state] of this.awareness.getStates()) {
      if (client === this.awareness.clientID) continue;
      const anchor = position(state['cursor']?.anchor, doc, this.text);
      const head = position(state['cursor']?.head, doc, this.text);
      if (anchor === undefined || head === undefined || Math.max(anchor, head) > length) continue;
      const key = JSON.stringify(state['cursor']);
      const seen = this.#seen.get(client);
      const moved = seen?.key === key ? seen.at : now;
      this.#seen.set(client, { key, at: moved });
      yield { client, name: this.nameOf(client), color: safeColor(state['user']?.color, client), anchor, head, moved };
    }
  }
}

function position(json: unknown, doc: Y.Doc, text: Y.Text): number | undefined {
  if (typeof json !== 'object' || json === null) return undefined;
  try {
    const absolute = Y.createAbsolutePositionFromRelativePosition(Y.createRelativePositionFromJSON(json), doc);
    return absolute?.type === text ? absolute.index : undefined;
  } catch {
    return undefined; // not what a cursor looks like
  }
}

class Caret extends WidgetType {
  constructor(
    readonly name: string,
    readonly color: string,
    readonly named: boolean,
  ) {
    super();
  }

  override eq(other: Caret): boolean {
    return other.name === this.name && other.color === this.color && other.named === this.named;
  }

  override toDOM(): HTMLElement {
    const caret = document.createElement('span');
    caret.className = this.named ? 'remote-caret named' : 'remote-caret';
    caret.style.setProperty('--remote', this.color);
    caret.setAttribute('aria-hidden', 'true');
    const name = document.createElement('span');
    name.className = 'remote-name';
    name.textContent = this.name;
    // A word joiner on both sides keeps the caret's height and lets no line break slip in.
    caret.append('\u2060', name, '\u2060');
    return caret;
  }

  override ignoreEvent(): boolean {
    return true;
  }
}

const styles = EditorView.baseTheme({
  '.remote-selection': { backgroundColor: 'color-mix(in srgb, var(--remote) 24%, transparent)' },
  '.remote-caret': {
    position: 'relative',
    display: 'inline',
    boxSizing: 'border-box',
    borderLeft: '2px solid var(--remote)',
    margin: '0 -1px',
  },
  '.remote-name': {
    position: 'absolute',
    left: '-2px',
    bottom: '100%',
    zIndex: '5',
    padding: '0.1em 0.45em',
    borderRadius: '0.4em 0.4em 0.4em 0',
    background: 'var(--remote)',
    color: '#fff',
    font: '600 0.7rem/1.4 var(--sans)',
    whiteSpace: 'nowrap',
    pointerEvents: 'none',
    userSelect: 'none',
    opacity: '0',
    transition: 'opacity 0.2s',
  },
  '.remote-caret.named .remote-name, .remote-caret:hover .remote-name': { opacity: '1' },
  // In the first line there is no room above.
  '.cm-line:first-child .remote-name': { bottom: 'auto', top: '100%', borderRadius: '0 0.4em 0.4em 0.4em' },
  '@media (prefers-reduced-motion: reduce)': { '.remote-name': { transition: 'none' } },
});
