import type { Room, ServerStatus } from 'symbolon';

/** How the room's servers stand, and what that means. */
export function Servers({ room }: { room: Room }) {
  const servers = room.servers();
  if (!servers.length) return null;
  return (
    <section aria-labelledby="servers">
      <h2 id="servers">{servers.length > 1 ? 'Servers' : 'Server'}</h2>
      <ul class="servers">
        {servers.map((server) => (
          <li key={server.origin}>
            <p class="reach" data-reach={server.connected ? 'direct' : 'away'}>
              <span class="dot" aria-hidden="true" />
              <strong>{host(server.origin)}</strong>
            </p>
            <p class="quiet">{stateInWords(server)}</p>
          </li>
        ))}
      </ul>
      <p class="quiet">{meaning(servers)}</p>
    </section>
  );
}

export function host(origin: string): string {
  return origin.replace(/^wss?:\/\//, '');
}

function stateInWords({ connected, trouble }: ServerStatus): string {
  if (connected) return 'reachable';
  if (!trouble) return 'connecting…';
  // The plain case is said plainly; anything else, such as a wrong key, as the core says it.
  return /can be reached/.test(trouble) ? 'not reachable; trying again' : `not connected: ${trouble.slice(0, 200)}`;
}

function meaning(servers: readonly ServerStatus[]): string {
  return servers.some((server) => server.connected)
    ? 'It brings people together. It cannot read what you share.'
    : 'Those who are connected go on without it. Newcomers, and who comes back later, find you when it returns.';
}
