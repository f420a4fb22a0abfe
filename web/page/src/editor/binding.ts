// Keeps a CodeMirror document and a Y.Text the same. y-codemirror.next does so too, but trusts that there is nothing
// but text in the Y.Text: one embedded object, which any member can put there, would break the editor of everybody.
// Here whatever is no text shows as one replacement character per unit of its length, so that positions stay right.
import { Annotation, type ChangeSpec, Prec, type Extension } from '@codemirror/state';
import { EditorView, keymap, ViewPlugin, type ViewUpdate } from '@codemirror/view';
import * as Y from 'yjs';

/** On what came from the room, so that it is not written there again. */
const fromRoom = Annotation.define<true>();
const PLACEHOLDER = '\ufffc';

export interface Bound {
  extension: Extension;
  /** Of what was typed here, not of what others did. */
  undo: Y.UndoManager;
}

export function bind(text: Y.Text): Bound {
  const origin = Symbol('typed here');
  const undo = new Y.UndoManager(text, { trackedOrigins: new Set([origin]) });
  const act = (what: 'undo' | 'redo') => () => {
    undo[what]();
    return true;
  };
  return {
    undo,
    extension: [
      ViewPlugin.define((view) => new Binding(view, text, origin, undo)),
      Prec.high(
        keymap.of([
          { key: 'Mod-z', run: act('undo'), preventDefault: true },
          { key: 'Mod-y', mac: 'Mod-Shift-z', run: act('redo'), preventDefault: true },
          { key: 'Mod-Shift-z', run: act('redo'), preventDefault: true },
        ]),
      ),
      EditorView.domEventHandlers({
        // From menus and gestures of phones.
        beforeinput: (event) =>
          event.inputType === 'historyUndo' ? act('undo')() : event.inputType === 'historyRedo' ? act('redo')() : false,
      }),
    ],
  };
}

/** The text with a character for each unit that is none. */
export function plainText(text: Y.Text): string {
  return read(text).plain;
}

function read(text: Y.Text): { plain: string; foreign: boolean } {
  let out = '';
  let foreign = false;
  for (let item = text._start; item; item = item.right) {
    if (item.deleted || !item.countable) continue;
    if (item.content instanceof Y.ContentString) {
      out += item.content.str;
    } else {
      out += PLACEHOLDER.repeat(item.length);
      foreign = true;
    }
  }
  return { plain: out, foreign };
}

/** After so much quiet all of the text is compared: Yjs mends halves of surrogate pairs without telling. */
const QUIET_MS = 400;

class Binding {
  /** There is something in it that Yjs' own accounts of changes leave out: compare each time. */
  #foreign: boolean;
  #timer = 0;

  constructor(
    readonly view: EditorView,
    readonly text: Y.Text,
    readonly origin: symbol,
    readonly undo: Y.UndoManager,
  ) {
    this.#foreign = read(text).foreign;
    text.observe(this.#observed);
  }

  destroy(): void {
    clearTimeout(this.#timer);
    this.text.unobserve(this.#observed);
  }

  update(update: ViewUpdate): void {
    if (!update.docChanged) return;
    clearTimeout(this.#timer);
    this.#timer = window.setTimeout(() => this.#mend(), QUIET_MS);
    if (update.transactions.some((one) => one.annotation(fromRoom))) return;
    let shift = 0;
    this.text.doc?.transact(() => {
      update.changes.iterChanges((from, to, _fromNew, _toNew, inserted) => {
        const added = inserted.sliceString(0, inserted.length, '\n');
        if (to > from) this.text.delete(from + shift, to - from);
        if (added) this.text.insert(from + shift, added);
        shift += added.length - (to - from);
      });
    }, this.origin);
    // Where something foreign was deleted, Yjs may have counted otherwise.
    if (this.#foreign || this.text.length !== update.state.doc.length) queueMicrotask(() => this.#mend());
  }

  #observed = (event: Y.YTextEvent, transaction: Y.Transaction): void => {
    if (transaction.origin === this.origin) return;
    const { doc } = this.view.state;
    const changes: ChangeSpec[] = [];
    let [at, shift] = [0, 0];
    let [last, plain] = [0, true];
    for (const { retain = 0, delete: deleted = 0, insert = '' } of event.delta) {
      at += retain;
      if (typeof insert !== 'string') {
        plain = false;
      } else if (insert || deleted) {
        changes.push({ from: at, to: at + deleted, insert });
        at += deleted;
        shift += insert.length - deleted;
        last = at + shift;
      }
    }
    if (this.#foreign || !plain || at > doc.length || doc.length + shift !== this.text.length) return this.#mend();
    // After an undo the cursor goes where it happened.
    const there = transaction.origin === this.undo ? { selection: { anchor: last }, scrollIntoView: true } : {};
    this.view.dispatch({ changes, annotations: fromRoom.of(true), ...there });
  };

  /** Makes the editor show what is in the room, changing no more than has to be. */
  #mend(): void {
    const { plain: now, foreign } = read(this.text);
    this.#foreign = foreign;
    const shown = this.view.state.doc.toString();
    if (now === shown) return;
    const most = Math.min(now.length, shown.length);
    let start = 0;
    while (start < most && now[start] === shown[start]) start++;
    let end = 0;
    while (end < most - start && now[now.length - 1 - end] === shown[shown.length - 1 - end]) end++;
    this.view.dispatch({
      changes: { from: start, to: shown.length - end, insert: now.slice(start, now.length - end) },
      annotations: fromRoom.of(true),
    });
  }
}
