import { useEffect, useLayoutEffect, useState } from 'preact/hooks';
import type { Peer } from 'symbolon';
import { Newer } from './components/newer';
import { Toasts } from './components/toasts';
import { openPeer, type Who } from './model/peer';
import { guessDevice, remember, remembered } from './model/prefs';
import { readRoute, showRoute, type Route } from './model/route';
import { Join } from './views/join';
import { RoomView } from './views/room';
import { Start } from './views/start';
import { troubleFrom, type Trouble } from './words';

/** What every view may ask of the page around it. */
export interface Shell {
  who: Who | undefined;
  /** Missing until the user has a name. */
  peer: Peer | undefined;
  trouble: Trouble | undefined;
  /** Says who the user is, and opens the peer. */
  name(who: Who): Promise<Peer>;
  go(route: Route, how?: 'push' | 'replace'): void;
  /** Asks for the invite dialog as soon as that room shows. */
  founded(room: string): void;
}

export function App({ first }: { first: Route }) {
  const [route, setRoute] = useState(first);
  const [who, setWho] = useState(knownUser);
  const [peer, setPeer] = useState<Peer>();
  const [trouble, setTrouble] = useState<Trouble>();
  const [fresh, setFresh] = useState<string>();

  // Before anything else can happen: an invite that came in between would stay in the address, unread.
  useLayoutEffect(() => {
    const moved = () => setRoute(readRoute());
    addEventListener('hashchange', moved);
    return () => removeEventListener('hashchange', moved);
  }, []);

  useEffect(() => {
    if (who) void start(who).catch(() => {});
  }, []);

  useEffect(() => {
    const fail = (error: unknown) => setTrouble(troubleFrom(error));
    const wake = () => peer?.networkChanged();
    peer?.on('error', fail);
    addEventListener('online', wake);
    return () => {
      peer?.off('error', fail);
      removeEventListener('online', wake);
    };
  }, [peer]);

  const start = async (next: Who): Promise<Peer> => {
    setTrouble(undefined);
    try {
      const opened = await openPeer(next);
      setPeer(opened);
      setWho({ user: opened.user, device: opened.deviceName });
      return opened;
    } catch (error) {
      setTrouble(troubleFrom(error));
      throw error;
    }
  };

  const shell: Shell = {
    who,
    peer,
    trouble,
    async name(next) {
      const opened = await start(next);
      remember('user', opened.user);
      remember('device', opened.deviceName);
      return opened;
    },
    go(next, how) {
      showRoute(next, how);
      setRoute(next);
    },
    founded: setFresh,
  };

  return (
    <>
      {route.at === 'start' ? (
        <Start shell={shell} />
      ) : route.at === 'invite' ? (
        <Join key={route.ticket} shell={shell} ticket={route.ticket} />
      ) : (
        <RoomView key={route.id} shell={shell} id={route.id} fresh={fresh === route.id} />
      )}
      <Newer />
      <Toasts />
    </>
  );
}

function knownUser(): Who | undefined {
  const user = remembered('user');
  return user ? { user, device: remembered('device') ?? guessDevice() } : undefined;
}
