// Where in the page we are. An invite in the address is taken out at once: it is a secret, and addresses are shown,
// synced and kept in the history. A room's id is none: it opens nothing.

export type Route = { at: 'start' } | { at: 'room'; id: string } | { at: 'invite'; ticket: string };

export function readRoute(): Route {
  const fragment = location.hash.slice(1);
  if (/^symbolon\d/.test(fragment)) {
    history.replaceState(null, '', here());
    return { at: 'invite', ticket: fragment };
  }
  const room = /^room\/([\w-]+)$/.exec(fragment)?.[1];
  return room ? { at: 'room', id: room } : { at: 'start' };
}

export function showRoute(route: Route, how: 'push' | 'replace' = 'push'): void {
  const url = route.at === 'room' ? `${here()}#room/${route.id}` : here();
  if (how === 'push' && url !== here() + location.hash) history.pushState(null, '', url);
  else history.replaceState(null, '', url);
}

function here(): string {
  return location.pathname + location.search;
}

/** The ticket in what a person pasted or a camera read: a link, a ticket, or either within a message. */
export function ticketIn(text: string): string | undefined {
  return /symbolon\d[\w-]+/.exec(text.trim())?.[0];
}

/** The link to hand out. The page's own address if a server of the room serves it, else what the core says. */
export function inviteLink(ticket: string, fromCore: string, servers: readonly string[]): string {
  const served = servers.some((server) => server.replace(/^wss?:\/\//, '') === location.host);
  return served ? `${location.origin}${location.pathname}#${ticket}` : fromCore;
}
