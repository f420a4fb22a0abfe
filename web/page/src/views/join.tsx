import { useEffect, useRef, useState } from 'preact/hooks';
import { readTicket, type Peer, type ServerStatus } from 'symbolon';
import type { Shell } from '../app';
import { Field } from '../components/field';
import { Mark } from '../components/mark';
import { Problem } from '../components/problem';
import { guessDevice } from '../model/prefs';
import { troubleFrom, type Trouble } from '../words';

const PATIENCE_MS = 7000;

/** From an invite into its room. Asks for a name only if there is none. */
export function Join({ shell, ticket }: { shell: Shell; ticket: string }) {
  const [user, setUser] = useState('');
  const [device, setDevice] = useState(guessDevice);
  const [joining, setJoining] = useState(shell.who !== undefined);
  const [slow, setSlow] = useState(false);
  const [unserved, setUnserved] = useState(false);
  const [trouble, setTrouble] = useState<Trouble>();
  const gone = useRef(false);

  useEffect(() => {
    document.title = 'Joining a room · Symbolon';
    if (shell.who) void join(shell.name(shell.who));
    return () => void (gone.current = true);
  }, []);

  useEffect(() => {
    setSlow(false);
    const timer = joining ? setTimeout(() => setSlow(true), PATIENCE_MS) : undefined;
    return () => clearTimeout(timer);
  }, [joining]);

  const join = async (opening: Promise<Peer>, again = false) => {
    setTrouble(undefined);
    setJoining(true);
    let stopWatching = () => {};
    try {
      const peer = await opening;
      stopWatching = watchServers(peer, ticket, setUnserved);
      // Whoever asks again will not wait until the next attempt is due.
      if (again) peer.networkChanged();
      const id = (await alreadyIn(peer, ticket)) ?? (await peer.join(ticket)).id;
      if (!gone.current) shell.go({ at: 'room', id }, 'replace');
    } catch (error) {
      setTrouble(troubleFrom(error));
      setJoining(false);
    } finally {
      stopWatching();
    }
  };

  const home = () => shell.go({ at: 'start' }, 'replace');

  return (
    <main class="join" aria-busy={joining}>
      <Mark size={96} rim joined={joining} />
      {joining ? (
        <>
          <h1>Joining the room</h1>
          <p role="status">
            {!slow
              ? 'The members check your invite…'
              : unserved
                ? 'The server cannot be reached yet. Trying again…'
                : 'No answer yet. Somebody who is in the room has to be online.'}
          </p>
          <button type="button" onClick={home}>
            Cancel
          </button>
        </>
      ) : trouble ? (
        <>
          <h1>Not in yet</h1>
          <Problem trouble={trouble} onRetry={trouble.retry && shell.who ? () => void join(shell.name(shell.who!), true) : undefined} />
          <button type="button" onClick={home}>
            Back to the start
          </button>
        </>
      ) : (
        <>
          <h1>You are invited</h1>
          <p>Tell the others who you are, and you are in.</p>
          <form
            class="card"
            onSubmit={(event) => {
              event.preventDefault();
              const name = user.trim();
              if (name) void join(shell.name({ user: name, device: device.trim() || guessDevice() }));
            }}
          >
            <Field label="Your name" value={user} onInput={setUser} autoComplete="nickname" autoFocus required maxLength={32} />
            <Field label="This device" value={device} onInput={setDevice} maxLength={32} />
            <button class="primary" type="submit">
              Join
            </button>
          </form>
        </>
      )}
    </main>
  );
}

/** Tells whether none of the ticket's servers can be reached. */
function watchServers(peer: Peer, ticket: string, tell: (unserved: boolean) => void): () => void {
  const { servers } = readTicket(ticket);
  const look = (all: readonly ServerStatus[]) => tell(!all.some(({ origin, connected }) => connected && servers.includes(origin)));
  peer.on('servers', look);
  peer.servers().then(look, () => {});
  return () => peer.off('servers', look);
}

/** The room of the ticket, if this browser is in it. */
async function alreadyIn(peer: Peer, ticket: string): Promise<string | undefined> {
  const { room } = readTicket(ticket);
  return (await peer.rooms()).find(({ id }) => id === room)?.id;
}
