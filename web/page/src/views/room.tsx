import { useEffect, useRef, useState } from 'preact/hooks';
import type { MemberStatus } from 'symbolon';
import type { Shell } from '../app';
import { Avatars } from '../components/avatars';
import { CanvasPane } from '../components/canvas-pane';
import { Icon } from '../components/icons';
import { InviteDialog } from '../components/invite';
import { Mark } from '../components/mark';
import { PeoplePanel } from '../components/people-panel';
import { Problem } from '../components/problem';
import { Problems } from '../components/problems';
import { RoomMenu } from '../components/room-menu';
import { Tabs, type Tab } from '../components/tabs';
import { TextPane } from '../components/text-pane';
import { tell } from '../components/toasts';
import { useEvents } from '../model/hooks';
import { labels } from '../model/people';
import { useRoom, type Opened } from '../model/room';

const TABS: Tab[] = [
  { id: 'text', label: 'Text', icon: 'text' },
  { id: 'canvas', label: 'Canvas', icon: 'brush' },
  { id: 'people', label: 'People', icon: 'people', narrow: true },
];

export function RoomView({ shell, id, fresh }: { shell: Shell; id: string; fresh: boolean }) {
  const { opened, trouble } = useRoom(shell.peer, id);
  useEffect(() => {
    // A room's address, and nobody known here: there is nothing to open it with.
    if (!shell.who) shell.go({ at: 'start' }, 'replace');
  }, []);

  const failed = trouble ?? (opened ? undefined : shell.trouble);
  if (failed) {
    return (
      <main class="join">
        <Mark size={96} rim />
        <h1>This room cannot be shown</h1>
        <Problem trouble={failed} />
        <button type="button" onClick={() => shell.go({ at: 'start' })}>
          All rooms
        </button>
      </main>
    );
  }
  if (!opened) {
    return (
      <main class="join" aria-busy="true">
        <Mark size={96} rim />
        <p role="status">Opening the room…</p>
      </main>
    );
  }
  return <OpenRoom shell={shell} opened={opened} fresh={fresh} />;
}

function OpenRoom({ shell, opened, fresh }: { shell: Shell; opened: Opened; fresh: boolean }) {
  const { room } = opened;
  const [tab, setTab] = useState('text');
  const [drawn, setDrawn] = useState(false);
  const [inviting, setInviting] = useState(fresh);
  useEvents(room, 'members', 'servers', 'topology');
  const members = room.members();
  useArrivals(members, inviting);

  useEffect(() => {
    document.title = `${room.name} · Symbolon`;
    if (fresh) shell.founded('');
  }, [room]);

  const choose = (next: string) => {
    setTab(next);
    if (next === 'canvas') setDrawn(true);
  };

  return (
    <div class="room" data-tab={tab}>
      <header class="bar">
        <button class="bare home" type="button" aria-label="All rooms" title="All rooms" onClick={() => shell.go({ at: 'start' })}>
          <Mark size={28} />
        </button>
        <h1>{room.name}</h1>
        <Tabs tabs={TABS} current={tab} onChoose={choose} />
        <Avatars members={members} />
        <button class="primary invite" type="button" onClick={() => setInviting(true)}>
          <Icon name="invite" /> <span>Invite</span>
        </button>
        <RoomMenu shell={shell} room={room} />
      </header>

      <div class="room-body">
        <main>
          <Problems room={room} provider={opened.provider} trouble={shell.trouble} />
          <div id="panel-text" role="tabpanel" aria-labelledby="tab-text" hidden={tab === 'canvas'} class="panel">
            <TextPane opened={opened} />
          </div>
          <div id="panel-canvas" role="tabpanel" aria-labelledby="tab-canvas" hidden={tab !== 'canvas'} class="panel">
            {drawn && <CanvasPane opened={opened} shown={tab === 'canvas'} />}
          </div>
        </main>
        <PeoplePanel room={room} onInvite={() => setInviting(true)} />
      </div>
      {inviting && <InviteDialog room={room} onClose={() => setInviting(false)} />}
    </div>
  );
}

/** Tells who came in and who is back; the invite dialog does so itself. */
function useArrivals(members: MemberStatus[], inviting: boolean): void {
  // Whether each is online; a newcomer is told once, and is not back when its first connection is up.
  const known = useRef<Map<string, boolean | 'new'> | undefined>(undefined);
  useEffect(() => {
    const names = labels(members);
    const before = known.current;
    if (before) {
      for (const { device, own, online } of members) {
        if (own) continue;
        const known = before.has(device);
        if (!known && !inviting) tell(`${names.get(device)} is in the room now.`);
        if (online && before.get(device) === false) tell(`${names.get(device)} is back.`);
      }
    }
    const fresh = (device: string) => before !== undefined && (before.get(device) ?? 'new') === 'new';
    known.current = new Map(members.map(({ device, online }) => [device, online || (fresh(device) ? 'new' : false)]));
  });
}
