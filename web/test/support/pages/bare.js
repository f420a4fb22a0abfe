// The package for tests to use by `page.evaluate`: `S` is all that it exports, `open` begins a document of a room.

import * as S from '/lib/symbolon.bundle.js';

window.S = S;
window.errors = [];

/** A room's document, its text, and what its provider said. */
window.use = async (room, { awareness, doc = new S.Y.Doc() } = {}) => {
  const provider = new S.SymbolonProvider(doc, room, awareness === undefined ? {} : { awareness });
  provider.on('error', (error) => window.errors.push({ code: error.code, message: error.message }));
  await provider.whenSynced;
  Object.assign(window, { room, provider, doc, text: doc.getText('text:main') });
  return room.id;
};

/** The names of the others whose presence is seen. */
window.seen = () =>
  [...window.provider.awareness.getStates()]
    .filter(([client]) => client !== window.doc.clientID)
    .map(([, state]) => state.user?.name)
    .sort()
    .join();

window.ready = true;
