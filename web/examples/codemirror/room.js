// The room of this page: the one of the link it was opened with, or the one it was in, or a new one.

import { Peer } from 'symbolon';

/** Where members of a new room find each other. `cargo run -p symbolon-server` starts one here. */
const SERVER = new URLSearchParams(location.search).get('server') ?? 'ws://localhost:7600';

export async function enterRoom() {
  const user = ['Ada', 'Bo', 'Cy', 'Di', 'Eli', 'Fay'][Math.floor(Math.random() * 6)];
  const peer = await Peer.open({ user });
  const ticket = location.hash.slice(1);
  if (ticket !== '') {
    const room = await peer.join(ticket);
    // The secret is used: it need not stay in the address bar and the history.
    history.replaceState(null, '', location.pathname + location.search);
    return room;
  }
  const [known] = await peer.rooms();
  return known ? peer.open(known.id) : peer.create({ name: 'notes', servers: [SERVER] });
}

/** The page's button for links, and what it says of the connection. */
export function showRoom(room, provider) {
  const button = document.querySelector('#invite');
  button.disabled = false;
  button.onclick = async () => {
    const { ticket } = await room.invite();
    const link = new URL(location.href);
    link.hash = ticket;
    document.querySelector('#link').textContent = link.href;
  };
  const show = () => {
    const others = room.members().filter((member) => member.linked).map((member) => member.user);
    document.querySelector('#status').textContent =
      others.length > 0 ? `Linked with ${others.join(', ')}` : `Nobody else is here (${provider.status})`;
  };
  room.on('members', show);
  provider.on('status', show);
  show();
}

/** What others see of whoever writes here. */
export function introduce(room, awareness) {
  const hue = Math.floor(Math.random() * 360);
  awareness.setLocalStateField('user', {
    name: room.peer.user,
    color: `hsl(${hue}, 70%, 40%)`,
    colorLight: `hsla(${hue}, 70%, 40%, 0.25)`,
  });
}
