// A room as a view holds it: the document, its provider, and how the room stands.
import { useEffect, useState } from 'preact/hooks';
import { SymbolonProvider, type Peer, type Room } from 'symbolon';
import type { Awareness } from 'y-protocols/awareness';
import * as Y from 'yjs';
import { troubleFrom, type Trouble } from '../words';
import { colorOf, safeName } from './people';

export interface Opened {
  room: Room;
  doc: Y.Doc;
  provider: SymbolonProvider;
  awareness: Awareness;
  nameOf: NameOf;
}

/** The name under which the member is in the room whose document this is: what a state says of itself is only a claim. */
export type NameOf = (client: number) => string;

export function useRoom(peer: Peer | undefined, id: string): { opened?: Opened; trouble?: Trouble } {
  const [state, setState] = useState<{ opened?: Opened; trouble?: Trouble }>({});
  useEffect(() => {
    if (!peer) return;
    let gone = false;
    let close = () => {};
    peer.open(id).then(
      (room) => {
        if (gone) return;
        const doc = new Y.Doc();
        const provider = new SymbolonProvider(doc, room);
        const awareness: Awareness = provider.awareness;
        const color = colorOf(peer.device);
        awareness.setLocalStateField('user', { name: peer.user, color, colorLight: `${color}33` });
        close = () => {
          provider.destroy();
          doc.destroy();
        };
        const nameOf: NameOf = (client) => safeName(provider.memberOf(client)?.user);
        setState({ opened: { room, doc, provider, awareness, nameOf } });
      },
      (error: unknown) => !gone && setState({ trouble: troubleFrom(error) }),
    );
    return () => {
      gone = true;
      close();
      setState({});
    };
  }, [peer, id]);
  return state;
}
