import type { MemberStatus } from 'symbolon';
import { colorOf, initials, labels, safeName, sorted } from '../model/people';

const SHOWN = 5;

export function Avatar({ device, user, away = false }: { device: string; user: string; away?: boolean }) {
  return (
    <span class={away ? 'avatar away' : 'avatar'} style={{ '--hue': colorOf(device) }} aria-hidden="true">
      {initials(safeName(user))}
    </span>
  );
}

/** Who is here now. */
export function Avatars({ members }: { members: readonly MemberStatus[] }) {
  const here = sorted(members).filter((member) => member.online && !member.own);
  const names = labels(members);
  if (!here.length) return <span class="avatars" />;
  const more = here.length - SHOWN;
  return (
    <ul class="avatars" aria-label="Here now">
      {here.slice(0, SHOWN).map(({ device, user }) => (
        <li key={device} title={names.get(device)}>
          <Avatar device={device} user={user} />
          <span class="visually-hidden">{names.get(device)}</span>
        </li>
      ))}
      {more > 0 && <li class="more">+{more}</li>}
    </ul>
  );
}
