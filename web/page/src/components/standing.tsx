import type { Opened } from '../model/room';
import { useEvents } from '../model/hooks';

/** In a few words: who is connected, and whether what was written is stored. */
export function Standing({ opened: { room, provider } }: { opened: Opened }) {
  useEvents(room, 'members');
  useEvents(provider, 'saved', 'synced');
  const others = room.members().filter((member) => !member.own);
  const here = others.filter(({ reach }) => reach === 'direct' || reach === 'through').length;
  const connecting = others.some(({ reach }) => reach === 'connecting');
  const [reach, words] = !others.length
    ? ['own', 'Only you']
    : here
      ? ['direct', `${here} connected`]
      : connecting
        ? ['connecting', 'Connecting…']
        : ['away', 'Nobody online'];
  return (
    <p class="standing reach" data-reach={reach}>
      <span class="dot" aria-hidden="true" />
      {words} · {provider.saved ? 'saved' : 'saving…'}
    </p>
  );
}
