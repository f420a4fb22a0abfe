// The shared text in CodeMirror. It lives in a shadow root: there it styles itself by adopted style sheets, while in
// the document it would insert <style> elements, which the page's Content-Security-Policy forbids.
import { defaultKeymap } from '@codemirror/commands';
import { openSearchPanel, search, searchKeymap } from '@codemirror/search';
import { EditorState } from '@codemirror/state';
import { drawSelection, dropCursor, EditorView, highlightSpecialChars, keymap, placeholder } from '@codemirror/view';
import type { Awareness } from 'y-protocols/awareness';
import type { NameOf } from '../model/room';
import type * as Y from 'yjs';
import { bind, plainText } from './binding';
import { remoteCursors } from './cursors';
import { theme } from './theme';

export interface Editor {
  view: EditorView;
  undo: Y.UndoManager;
  find(): void;
  destroy(): void;
}

export function openEditor(host: HTMLElement, doc: Y.Doc, awareness: Awareness, nameOf: NameOf): Editor {
  const text = doc.getText('text:main');
  const { extension, undo } = bind(text);
  const root = host.shadowRoot ?? host.attachShadow({ mode: 'open', delegatesFocus: true });
  const view = new EditorView({
    root,
    parent: root,
    state: EditorState.create({
      doc: plainText(text),
      extensions: [
        extension,
        remoteCursors(text, awareness, nameOf),
        keymap.of([...searchKeymap, ...defaultKeymap]),
        highlightSpecialChars(),
        drawSelection(),
        dropCursor(),
        search({ top: true }),
        EditorView.lineWrapping,
        // Every UTF-16 unit counts alike here and in the Y.Text, also a carriage return that somebody's program wrote.
        EditorState.lineSeparator.of('\n'),
        EditorView.clipboardInputFilter.of((pasted) => pasted.replace(/\r\n?/g, '\n')),
        placeholder('Write here. Everyone in the room sees it.'),
        EditorView.contentAttributes.of({
          'aria-label': 'Shared text',
          tabindex: '0',
          spellcheck: 'true',
          autocapitalize: 'sentences',
          autocorrect: 'on',
        }),
        theme,
      ],
    }),
  });
  return {
    view,
    undo,
    find: () => void openSearchPanel(view),
    destroy() {
      awareness.setLocalStateField('cursor', null);
      view.destroy();
      undo.destroy();
    },
  };
}
