import { useEffect, useRef, useState } from 'preact/hooks';
import type { Room } from 'symbolon';
import type { Shell } from '../app';
import { troubleFrom, type Trouble } from '../words';
import { useRooms } from '../views/rooms';
import { About } from './about';
import { Dialog } from './dialog';
import { Icon } from './icons';
import { Problem } from './problem';
import { ThemeChoice } from './theme';

/** Other rooms, appearance, and the way out. */
export function RoomMenu({ shell, room }: { shell: Shell; room: Room }) {
  const [dialog, setDialog] = useState<'about' | 'leave'>();
  const menu = useRef<HTMLDetailsElement>(null);
  const others = (useRooms(shell.peer) ?? []).filter(({ id }) => id !== room.id);
  const close = () => menu.current?.removeAttribute('open');

  useEffect(() => {
    const outside = (event: Event) => {
      if (menu.current?.open && !menu.current.contains(event.target as Node)) close();
    };
    const escape = (event: KeyboardEvent) => {
      if (event.key !== 'Escape' || !menu.current?.open) return;
      close();
      menu.current.querySelector('summary')?.focus();
    };
    document.addEventListener('pointerdown', outside);
    document.addEventListener('keydown', escape);
    return () => {
      document.removeEventListener('pointerdown', outside);
      document.removeEventListener('keydown', escape);
    };
  }, []);

  const open = (next: 'about' | 'leave') => {
    close();
    setDialog(next);
  };

  return (
    <>
      <details class="menu" ref={menu}>
        <summary aria-label="Menu" title="Menu">
          <Icon name="menu" />
        </summary>
        <div class="menu-items">
          {others.length > 0 && (
            <section aria-labelledby="other-rooms">
              <h2 id="other-rooms">Other rooms</h2>
              {others.slice(0, 8).map(({ id, name }) => (
                <button key={id} type="button" onClick={() => shell.go({ at: 'room', id })}>
                  {name}
                </button>
              ))}
            </section>
          )}
          <button type="button" onClick={() => shell.go({ at: 'start' })}>
            All rooms
          </button>
          <ThemeChoice />
          <button type="button" onClick={() => open('about')}>
            How safe is this page?
          </button>
          <button class="danger" type="button" onClick={() => open('leave')}>
            Leave room…
          </button>
        </div>
      </details>
      {dialog === 'about' && <About onClose={() => setDialog(undefined)} />}
      {dialog === 'leave' && <Leave shell={shell} room={room} onClose={() => setDialog(undefined)} />}
    </>
  );
}

function Leave({ shell, room, onClose }: { shell: Shell; room: Room; onClose: () => void }) {
  const [trouble, setTrouble] = useState<Trouble>();
  const alone = room.members().length < 2;
  const leave = async () => {
    try {
      await room.leave();
      shell.go({ at: 'start' }, 'replace');
    } catch (error) {
      setTrouble(troubleFrom(error));
    }
  };
  return (
    <Dialog title={`Leave “${room.name}”?`} onClose={onClose}>
      <p>
        {alone
          ? 'You are the only one in it, so its text and drawing will be gone for good.'
          : 'It is removed from this browser, with its text and drawing. The others keep theirs. To come back you need a new invite.'}
      </p>
      {trouble && <Problem trouble={trouble} />}
      <p class="row end">
        <button type="button" onClick={onClose}>
          Stay
        </button>
        <button class="danger" type="button" onClick={() => void leave()}>
          Leave room
        </button>
      </p>
    </Dialog>
  );
}
