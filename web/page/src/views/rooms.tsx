import { useEffect, useState } from 'preact/hooks';
import type { Peer, RoomStatus } from 'symbolon';
import { Icon } from '../components/icons';

/** The rooms of a peer, kept up to date. */
export function useRooms(peer: Peer | undefined): RoomStatus[] | undefined {
  const [rooms, setRooms] = useState<RoomStatus[]>();
  useEffect(() => {
    if (!peer) return;
    let gone = false;
    const load = () =>
      void peer.rooms().then(
        (all) => !gone && setRooms(all),
        () => {},
      );
    load();
    peer.on('rooms', load);
    return () => {
      gone = true;
      peer.off('rooms', load);
    };
  }, [peer]);
  return rooms;
}

export function Rooms({ peer, onOpen }: { peer: Peer; onOpen: (id: string) => void }) {
  const rooms = useRooms(peer);
  if (!rooms?.length) return null;
  return (
    <section class="card" aria-labelledby="rooms">
      <h2 id="rooms">Your rooms</h2>
      <ul class="rooms">
        {rooms.map((room) => (
          <li key={room.id}>
            <button type="button" onClick={() => onOpen(room.id)}>
              <strong>{room.name}</strong>
              <span class="quiet">{inside(room)}</span>
              <Icon name="arrow" />
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}

function inside(room: RoomStatus): string {
  if (room.members <= 1) return 'only you so far';
  const people = `${room.members} people`;
  return room.links ? `${people} · connected with ${room.links}` : people;
}
