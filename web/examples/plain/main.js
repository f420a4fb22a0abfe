// A shared list, with one file of the package and no bundler. Serve `dist` of the package as `symbolon` beside this.

import { Peer, SymbolonProvider, Y } from './symbolon/symbolon.bundle.js';

const server = new URLSearchParams(location.search).get('server') ?? 'ws://localhost:7600';
const peer = await Peer.open({ user: 'somebody' });
const ticket = location.hash.slice(1);
const [known] = await peer.rooms();
const room =
  ticket !== ''
    ? await peer.join(ticket)
    : known
      ? await peer.open(known.id)
      : await peer.create({ name: 'list', servers: [server] });
history.replaceState(null, '', location.pathname + location.search);

const doc = new Y.Doc();
new SymbolonProvider(doc, room);
const entries = doc.getArray('array:entries');

const list = document.querySelector('#list');
const show = () => {
  list.replaceChildren(
    ...entries.toArray().map((entry) => {
      const item = document.createElement('li');
      item.textContent = entry;
      return item;
    }),
  );
};
entries.observe(show);
show();

const form = document.querySelector('#form');
form.onsubmit = (event) => {
  event.preventDefault();
  entries.push([form.elements.entry.value]);
  form.reset();
};

const button = document.querySelector('#invite');
button.disabled = false;
button.onclick = async () => {
  const link = new URL(location.href);
  link.hash = (await room.invite()).ticket;
  document.querySelector('#link').textContent = link.href;
};
