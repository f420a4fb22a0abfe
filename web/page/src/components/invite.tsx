import type { ComponentType } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { Room } from 'symbolon';
import { useClock, useEvents } from '../model/hooks';
import { labels, list } from '../model/people';
import { inviteLink } from '../model/route';
import { within } from '../model/time';
import { troubleFrom, troubleOf, type Trouble } from '../words';
import { Dialog } from './dialog';
import { Icon } from './icons';
import { Mark } from './mark';
import { Problem } from './problem';
import { tell } from './toasts';

interface Made {
  link: string;
  expires: number;
  uses: number;
}

const HOUR = 3_600_000;
const EXPIRIES = [
  [HOUR, '1 hour'],
  [24 * HOUR, '1 day'],
  [7 * 24 * HOUR, '7 days'],
] as const;
const USES = [
  [1, '1 person'],
  [5, '5 people'],
  [25, '25 people'],
] as const;

/** Makes an invite at once, with what suits most; another one if something else is chosen. */
export function InviteDialog({ room, onClose }: { room: Room; onClose: () => void }) {
  const [expires, setExpires] = useState<number>(24 * HOUR);
  const [uses, setUses] = useState<number>(1);
  const [made, setMade] = useState<Made>();
  const [trouble, setTrouble] = useState<Trouble>();
  const [copied, setCopied] = useState(false);
  const [Qr, setQr] = useState<ComponentType<{ text: string; label: string }>>();
  const before = useRef(new Set(room.members().map((member) => member.device)));
  useEvents(room, 'members');
  useClock(10_000);

  const came = room.members().filter((member) => !before.current.has(member.device));
  const names = labels(room.members());

  const make = async (choice: { expires: number; uses: number }) => {
    setTrouble(undefined);
    setMade(undefined);
    setCopied(false);
    try {
      const { ticket, link, ...rest } = await room.invite(choice);
      const servers = room.servers().map((server) => server.origin);
      setMade({ link: inviteLink(ticket, link, servers), expires: rest.expires, uses: rest.uses });
    } catch (error) {
      setTrouble(troubleFrom(error));
    }
  };

  useEffect(() => {
    void make({ expires, uses });
    void import('./qr').then((module) => setQr(() => module.default));
  }, []);

  const copy = async () => {
    try {
      await navigator.clipboard.writeText(made?.link ?? '');
      setCopied(true);
      tell('Link copied.');
    } catch {
      setTrouble(troubleOf('copy'));
    }
  };

  const share = () =>
    void navigator.share({ title: room.name, text: `Join me in “${room.name}”`, url: made?.link ?? '' }).catch(() => {});

  if (came.length) {
    return (
      <Dialog title="It fits" onClose={onClose} class="came">
        <Mark size={96} rim joined />
        <p role="status">
          <strong>{list(came.map(({ device }) => names.get(device) ?? 'Somebody'))}</strong> {came.length > 1 ? 'are' : 'is'} in the room.
        </p>
        <button class="primary" type="button" onClick={onClose}>
          Go on
        </button>
      </Dialog>
    );
  }

  return (
    <Dialog title={`Invite to “${room.name}”`} onClose={onClose} class="invite-dialog">
      {trouble && <Problem trouble={trouble} onRetry={made ? undefined : () => void make({ expires, uses })} />}
      <div class="invite-ways">
        <div class="qr-frame">{made && Qr && <Qr text={made.link} label="QR code of the invite" />}</div>
        <div>
          <p>Send this link to the person you want here, or let them scan the code. Whoever opens it first is in, so hand it over in a way you trust.</p>
          <div class="link-out">
            <input
              class="mono"
              type="text"
              readOnly
              aria-label="Invite link"
              value={made?.link ?? ''}
              onFocus={(event) => event.currentTarget.select()}
            />
            <button class="primary" type="button" disabled={!made} onClick={() => void copy()}>
              <Icon name={copied ? 'check' : 'copy'} /> {copied ? 'Copied' : 'Copy link'}
            </button>
            {'share' in navigator && (
              <button type="button" disabled={!made} onClick={share}>
                <Icon name="share" /> Share…
              </button>
            )}
          </div>
          <p class="quiet" aria-live="polite">
            {made ? `For ${made.uses === 1 ? 'one person' : `${made.uses} people`} · ${within(made.expires)}` : 'Making the invite…'}
          </p>
        </div>
      </div>
      <form
        class="invite-options"
        onSubmit={(event) => {
          event.preventDefault();
          void make({ expires, uses });
        }}
      >
        <label>
          Good for
          <select value={uses} onChange={(event) => setUses(Number(event.currentTarget.value))}>
            {USES.map(([value, label]) => (
              <option key={value} value={value}>
                {label}
              </option>
            ))}
          </select>
        </label>
        <label>
          Expires after
          <select value={expires} onChange={(event) => setExpires(Number(event.currentTarget.value))}>
            {EXPIRIES.map(([value, label]) => (
              <option key={value} value={value}>
                {label}
              </option>
            ))}
          </select>
        </label>
        <button type="submit">New link</button>
      </form>
    </Dialog>
  );
}
