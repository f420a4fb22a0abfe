import { baseKeymap, toggleMark } from 'prosemirror-commands';
import { keymap } from 'prosemirror-keymap';
import { schema } from 'prosemirror-schema-basic';
import { EditorState } from 'prosemirror-state';
import { EditorView } from 'prosemirror-view';
import { SymbolonProvider } from 'symbolon';
import { redo, undo, yCursorPlugin, ySyncPlugin, yUndoPlugin } from 'y-prosemirror';
import * as Y from 'yjs';
import { enterRoom, introduce, showRoom } from './room.js';

const room = await enterRoom();
const doc = new Y.Doc();
const provider = new SymbolonProvider(doc, room);
introduce(room, provider.awareness);
showRoom(room, provider);

// The editor writes an empty paragraph into an empty document: what is stored has to be there first.
await provider.whenSynced;

const type = doc.getXmlFragment('xml:prosemirror');
new EditorView(document.querySelector('#editor'), {
  attributes: { 'aria-label': 'Shared text', role: 'textbox', 'aria-multiline': 'true' },
  state: EditorState.create({
    schema,
    plugins: [
      ySyncPlugin(type),
      yCursorPlugin(provider.awareness),
      yUndoPlugin(),
      keymap({
        'Mod-z': undo,
        'Mod-y': redo,
        'Mod-Shift-z': redo,
        'Mod-b': toggleMark(schema.marks.strong),
        'Mod-i': toggleMark(schema.marks.em),
      }),
      keymap(baseKeymap),
    ],
  }),
});
