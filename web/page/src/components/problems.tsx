// What is wrong with a room right now, and what it means.
import { useEffect, useState } from 'preact/hooks';
import type { Room, SymbolonProvider } from 'symbolon';
import { useAgain, useEvents } from '../model/hooks';
import { labels } from '../model/people';
import { troubleFrom, troubleOf, type Trouble } from '../words';
import { Problem } from './problem';

interface Props {
  room: Room;
  provider: SymbolonProvider;
  /** What is wrong with the whole peer. */
  trouble: Trouble | undefined;
}

/** A server that only blinks is not worth a word. */
const BLINK_MS = 4000;

export function Problems({ room, provider, trouble }: Props) {
  useEvents(room, 'servers', 'members');
  const [cuts, setCuts] = useState<{ device: string; trouble: Trouble }[]>([]);
  const [failed, setFailed] = useState<Trouble>();
  const [closed, setClosed] = useState(false);
  const [hidden, setHidden] = useState<string>();
  const offline = useOffline();
  const unserved = useLasting(room.servers().length > 0 && room.servers().every((server) => !server.connected));

  useEffect(() => {
    const cut = ({ device }: { device: string; why: string }) => {
      const who = labels(room.members()).get(device) ?? 'A member';
      const base = troubleOf('cut');
      const trouble = { ...base, title: base.title.replace('A member', who) };
      setCuts((all) => [...all.filter((one) => one.device !== device), { device, trouble }]);
    };
    const end = () => setClosed(true);
    room.on('cut', cut);
    room.on('closed', end);
    const fail = (error: unknown) => setFailed(troubleFrom(error));
    provider.on('error', fail);
    return () => {
      room.off('cut', cut);
      room.off('closed', end);
      provider.off('error', fail);
    };
  }, [room, provider]);

  const linked = room.members().filter((member) => member.linked && !member.own).length;
  const state = closed ? 'closed' : offline && !linked ? 'offline' : unserved ? 'unserved' : undefined;
  useEffect(() => {
    if (state !== hidden) setHidden(undefined);
  }, [state]);

  return (
    <div class="problems">
      {trouble && <Problem trouble={trouble} />}
      {failed && <Problem trouble={failed} onDismiss={() => setFailed(undefined)} />}
      {state && state !== hidden && (
        <Problem
          trouble={state === 'closed' ? troubleOf('closed') : state === 'offline' ? OFFLINE : unservedWords(linked)}
          tone={state === 'closed' ? 'alert' : 'note'}
          onDismiss={() => setHidden(state)}
        >
          {state === 'closed' && (
            <button class="small" type="button" onClick={() => location.reload()}>
              Load again
            </button>
          )}
        </Problem>
      )}
      {cuts.map(({ device, trouble }) => (
        <Problem
          key={device}
          trouble={trouble}
          onDismiss={() => setCuts((all) => all.filter((one) => one.device !== device))}
        />
      ))}
    </div>
  );
}

const OFFLINE: Trouble = {
  title: 'You are offline',
  text: 'Go on writing: it is kept here and shared when the network is back.',
};

function unservedWords(linked: number): Trouble {
  return {
    title: 'The server cannot be reached',
    text: linked
      ? 'You stay connected with those who are here. Only newcomers and people who come back have to wait for it.'
      : 'Go on writing: it is kept here and shared when the server or the others are back. If it lasts, ask whoever runs the server.',
  };
}

function useOffline(): boolean {
  const again = useAgain();
  useEffect(() => {
    addEventListener('online', again);
    addEventListener('offline', again);
    return () => {
      removeEventListener('online', again);
      removeEventListener('offline', again);
    };
  }, []);
  return !navigator.onLine;
}

function useLasting(state: boolean): boolean {
  const [lasting, setLasting] = useState(false);
  useEffect(() => {
    if (!state) return setLasting(false);
    const timer = setTimeout(() => setLasting(true), BLINK_MS);
    return () => clearTimeout(timer);
  }, [state]);
  return lasting && state;
}
