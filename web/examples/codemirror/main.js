import { defaultKeymap } from '@codemirror/commands';
import { EditorState } from '@codemirror/state';
import { EditorView, keymap, lineNumbers } from '@codemirror/view';
import { SymbolonProvider } from 'symbolon';
import { yCollab, yUndoManagerKeymap } from 'y-codemirror.next';
import * as Y from 'yjs';
import { enterRoom, introduce, showRoom } from './room.js';

const room = await enterRoom();
const doc = new Y.Doc();
const provider = new SymbolonProvider(doc, room);
introduce(room, provider.awareness);
showRoom(room, provider);

// What is stored is there before the editor is, so that it does not fill up before one's eyes.
await provider.whenSynced;

// `text:main` is the text that `symbolon cat` and Symbolon's page show; any other name works as well.
const text = doc.getText('text:main');

// In a shadow root CodeMirror brings its styles in a way that a strict Content-Security-Policy allows. Where there is
// none, `parent: document.querySelector('#editor')` alone will do.
const root = document.querySelector('#editor').attachShadow({ mode: 'open', delegatesFocus: true });
new EditorView({
  root,
  parent: root,
  state: EditorState.create({
    doc: text.toString(),
    extensions: [
      lineNumbers(),
      EditorView.lineWrapping,
      EditorView.contentAttributes.of({ 'aria-label': 'Shared text' }),
      keymap.of([...yUndoManagerKeymap, ...defaultKeymap]),
      yCollab(text, provider.awareness),
    ],
  }),
});
