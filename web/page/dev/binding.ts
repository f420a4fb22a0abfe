// Random edits on both sides of the editor's binding, also such as only a hostile member makes: run by binding.mjs.
import { Awareness } from 'y-protocols/awareness';
import * as Y from 'yjs';
import { plainText } from '../src/editor/binding';
import { openEditor } from '../src/editor/editor';

const STEPS = 120;
const QUIET_MS = 450;

declare global {
  var fuzzBinding: (seed: number) => Promise<void>;
}

globalThis.fuzzBinding = async (seed) => {
  let state = seed;
  const random = (below: number) => {
    state = (state * 1103515245 + 12345) & 0x7fffffff;
    return (state >> 8) % below;
  };
  const here = new Y.Doc();
  const there = new Y.Doc();
  here.on('update', (update, origin) => origin !== there && Y.applyUpdate(there, update, here));
  there.on('update', (update, origin) => origin !== here && Y.applyUpdate(here, update, there));
  const text = there.getText('text:main');
  text.insert(0, 'start\r\nhere');
  text.insertEmbed(3, { image: 'x' });
  const host = document.body.appendChild(document.createElement('div'));
  const editor = openEditor(host, here, new Awareness(here), () => 'Somebody');
  const compare = (when: string, ofText: (text: string) => string) => {
    const want = ofText(plainText(here.getText('text:main')));
    const shown = ofText(editor.view.state.doc.toString());
    if (want !== shown) throw new Error(`seed ${seed}, ${when}: ${JSON.stringify(want)} shows as ${JSON.stringify(shown)}`);
  };
  for (let step = 0; step < STEPS; step++) {
    const kind = random(9);
    if (kind < 3) {
      const { length } = editor.view.state.doc;
      const from = random(length + 1);
      editor.view.dispatch({ changes: { from, to: Math.min(length, from + random(4)), insert: ['x', '', 'yz\n'][random(3)] ?? '' } });
      await Promise.resolve();
    } else if (kind < 5) {
      text.insert(random(text.length + 1), ['remote', '\n', '\r', 'é😀'][random(4)] ?? '');
    } else if (kind === 5) {
      text.insertEmbed(random(text.length + 1), { a: 1 });
    } else if (kind === 6 && text.length) {
      const at = random(text.length);
      text.delete(at, Math.min(text.length - at, 1 + random(3)));
    } else if (kind === 7) {
      there.transact((transaction) => {
        const id = Y.createID(there.clientID, Y.getState(there.store, there.clientID));
        const first = text._start;
        const item = new Y.Item(id, null, null, first, first ? first.id : null, text, null, new Y.ContentAny([1, 2, { z: 1 }]));
        item.integrate(transaction, 0);
      });
    } else if (random(2)) {
      editor.undo.undo();
    } else {
      editor.undo.redo();
    }
    // Halves of surrogate pairs are put right after a while only.
    compare(`step ${step} of kind ${kind}`, (shown) => shown.replace(/[\ud800-\udfff\ufffd]/g, '?'));
  }
  await new Promise((done) => setTimeout(done, QUIET_MS));
  compare('in the end', (shown) => shown);
  editor.destroy();
  host.remove();
};
