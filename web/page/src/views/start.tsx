import { useEffect, useState } from 'preact/hooks';
import type { Shell } from '../app';
import { About } from '../components/about';
import { Field } from '../components/field';
import { Icon } from '../components/icons';
import { Mark } from '../components/mark';
import { Problem } from '../components/problem';
import { ThemeChoice } from '../components/theme';
import { guessDevice } from '../model/prefs';
import { CreateRoom } from './create';
import { EnterInvite } from './enter';
import { Rooms } from './rooms';

export function Start({ shell }: { shell: Shell }) {
  const { who, trouble } = shell;
  const [user, setUser] = useState(who?.user ?? '');
  const [device, setDevice] = useState(who?.device ?? guessDevice());
  const [missing, setMissing] = useState(false);
  const [about, setAbout] = useState(false);

  useEffect(() => {
    document.title = 'Symbolon';
  }, []);

  /** The peer, under the name that was typed; undefined if none was. */
  const identify = async () => {
    const name = user.trim();
    if (!name) {
      setMissing(true);
      document.querySelector<HTMLInputElement>('.who input')?.focus();
      return undefined;
    }
    return shell.name({ user: name, device: device.trim() || guessDevice() });
  };

  return (
    <div class="start">
      <header class="hero">
        <Mark size={112} rim />
        <div>
          <h1>Symbolon</h1>
          <p>Rooms that open only to those you invited. You write and draw together, directly between your devices.</p>
        </div>
      </header>

      <main>
        {trouble && <Problem trouble={trouble} />}

        <section class="who" aria-labelledby="who">
          <h2 id="who" class={who ? 'visually-hidden' : ''}>
            Who are you?
          </h2>
          {who ? (
            <p>
              You are <strong>{who.user}</strong> <span class="quiet">on {who.device}</span>
            </p>
          ) : (
            <form
              class="pair"
              onSubmit={(event) => {
                event.preventDefault();
                // Nothing to send yet: on to what one is here for.
                document.querySelector<HTMLInputElement>('[aria-labelledby=create] input')?.focus();
              }}
            >
              <Field
                label="Your name"
                value={user}
                onInput={(value) => {
                  setUser(value);
                  setMissing(false);
                }}
                autoComplete="nickname"
                autoFocus={!who}
                maxLength={32}
                error={missing ? 'So that the others know who you are.' : undefined}
              />
              <Field label="This device" value={device} onInput={setDevice} maxLength={32} />
              <button type="submit" hidden tabIndex={-1} />
            </form>
          )}
        </section>

        {shell.peer && <Rooms peer={shell.peer} onOpen={(id) => shell.go({ at: 'room', id })} />}
        <CreateRoom shell={shell} identify={identify} />
        <EnterInvite
          onTicket={(ticket) =>
            // What keeps the peer from opening is shown above.
            void identify().then(
              (peer) => peer && shell.go({ at: 'invite', ticket }, 'replace'),
              () => {},
            )
          }
        />
      </main>

      <footer>
        <button class="link" type="button" onClick={() => setAbout(true)}>
          <Icon name="info" /> How safe is this page?
        </button>
        <ThemeChoice />
      </footer>
      {about && <About onClose={() => setAbout(false)} />}
    </div>
  );
}
