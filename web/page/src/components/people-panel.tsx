import type { MemberStatus, Room } from 'symbolon';
import { useClock, useEvents } from '../model/hooks';
import { labels, list, reachInWords, safeName, sorted } from '../model/people';
import { Avatar } from './avatars';
import { Icon } from './icons';
import { Servers } from './servers';
import { Topology } from './topology';

interface Props {
  room: Room;
  onInvite: () => void;
}

export function PeoplePanel({ room, onInvite }: Props) {
  useEvents(room, 'members', 'topology', 'servers');
  useClock();
  const members = sorted(room.members());
  const names = labels(members);
  return (
    <aside id="panel-people" class="people" aria-label="People">
      <section aria-labelledby="people">
        <h2 id="people">
          People <span class="count">{members.length}</span>
        </h2>
        <p class="summary">{summary(members, names)}</p>
        <ul class="members" aria-label="Members">
          {members.map((member) => (
            <li key={member.device} class={member.online ? '' : 'away'}>
              <Avatar device={member.device} user={member.user} away={!member.online} />
              <div>
                <p class="name">
                  <strong>{safeName(member.user)}</strong>
                  {member.own && <span class="you">you</span>} {member.name !== member.user && <span class="quiet">{safeName(member.name)}</span>}
                </p>
                <p class="reach" data-reach={member.reach}>
                  <span class="dot" aria-hidden="true" />
                  {reachInWords(member, names)}
                </p>
                <p class="quiet">{origin(member, names)}</p>
              </div>
            </li>
          ))}
        </ul>
        {members.length === 1 && (
          <button type="button" onClick={onInvite}>
            <Icon name="invite" /> Invite somebody
          </button>
        )}
      </section>
      <Topology room={room} names={names} />
      <Servers room={room} />
    </aside>
  );
}

function origin(member: MemberStatus, names: ReadonlyMap<string, string>): string {
  if (!member.invited_by) return 'founded the room';
  return `invited by ${names.get(member.invited_by) ?? 'somebody who left'}`;
}

/** How it stands, in one sentence. */
export function summary(members: readonly MemberStatus[], names: ReadonlyMap<string, string>): string {
  const others = members.filter((member) => !member.own);
  if (!others.length) return 'Only you so far. Invite somebody to begin.';
  const name = (member: MemberStatus) => names.get(member.device) ?? 'somebody';
  const here = others.filter((member) => member.reach === 'direct' || member.reach === 'through');
  if (here.length) {
    return here.length > 3 ? `Connected with ${here.length} of ${others.length} others.` : `Connected with ${list(here.map(name))}.`;
  }
  if (others.some((member) => member.reach === 'connecting')) return 'Connecting…';
  return 'Nobody else is online. What you write is kept and shared when they are back.';
}
