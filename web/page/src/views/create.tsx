import { useEffect, useState } from 'preact/hooks';
import type { Peer } from 'symbolon';
import type { Shell } from '../app';
import { Field } from '../components/field';
import { Problem } from '../components/problem';
import { remember, remembered } from '../model/prefs';
import { serverAddress, suggestedServers } from '../model/servers';
import { troubleFrom, troubleOf, type Trouble } from '../words';

export function CreateRoom({ shell, identify }: { shell: Shell; identify: () => Promise<Peer | undefined> }) {
  const [name, setName] = useState('');
  const [servers, setServers] = useState<string[]>();
  const [typed, setTyped] = useState(remembered('server') ?? '');
  const [busy, setBusy] = useState(false);
  const [badServer, setBadServer] = useState(false);
  const [trouble, setTrouble] = useState<Trouble>();

  useEffect(() => void suggestedServers().then(setServers), []);
  const ask = servers?.length === 0;

  const create = async () => {
    setTrouble(undefined);
    setBusy(true);
    try {
      // Some are quicker than the answer; if it names no server, the field for one appears.
      const known = servers ?? (await suggestedServers());
      const chosen = known.length ? undefined : serverAddress(typed);
      if (!known.length && !chosen) return setBadServer(servers !== undefined);
      const peer = await identify();
      if (!peer) return;
      if (chosen) remember('server', chosen);
      const room = await peer.create({ name: name.trim() || 'Our room', servers: chosen ? [chosen] : known });
      shell.founded(room.id);
      shell.go({ at: 'room', id: room.id });
    } catch (error) {
      setTrouble(troubleFrom(error));
    } finally {
      setBusy(false);
    }
  };

  return (
    <section class="card" aria-labelledby="create">
      <h2 id="create">Start a room</h2>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (!busy) void create();
        }}
      >
        <Field label="Name of the room" value={name} onInput={setName} placeholder="Our room" maxLength={64} />
        {ask && (
          <Field
            label="Server"
            value={typed}
            onInput={(value) => {
              setTyped(value);
              setBadServer(false);
            }}
            placeholder="wss://chat.example.org"
            hint="Where people of the room find each other. It cannot read what you share."
            error={badServer ? troubleOf('server_address').text : undefined}
          />
        )}
        {trouble && <Problem trouble={trouble} />}
        <button class="primary" type="submit" disabled={busy}>
          {busy ? 'Creating…' : 'Create room'}
        </button>
      </form>
    </section>
  );
}
