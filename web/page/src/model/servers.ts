// Which servers a new room gets: what the place this page came from says in config.json.

let told: Promise<string[]> | undefined;

/** Servers for new rooms; none if the page's origin names none, and people have to be asked. */
export function suggestedServers(): Promise<string[]> {
  return (told ??= load());
}

async function load(): Promise<string[]> {
  try {
    const answer = await fetch('config.json', { cache: 'no-store', credentials: 'omit' });
    if (!answer.ok) return [];
    const config: unknown = await answer.json();
    if (typeof config !== 'object' || config === null) return [];
    if ('servers' in config && Array.isArray(config.servers)) {
      return config.servers.filter((server): server is string => typeof server === 'string');
    }
    return 'rendezvous' in config && config.rendezvous === true ? [origin()] : [];
  } catch {
    told = undefined; // offline: ask again when it matters
    return [];
  }
}

function origin(): string {
  return `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}`;
}

/** `chat.example.org` → `wss://chat.example.org`; undefined if it cannot be a server's address. */
export function serverAddress(text: string): string | undefined {
  const typed = text.trim().replace(/^http/i, 'ws').replace(/\/+$/, '');
  const local = /^(localhost|127\.|\[::1\]|192\.168\.|10\.)/.test(typed);
  try {
    const url = new URL(/^wss?:\/\//i.test(typed) ? typed : `${local ? 'ws' : 'wss'}://${typed}`);
    return url.hostname && !url.username && url.pathname === '/' ? `${url.protocol}//${url.host}` : undefined;
  } catch {
    return undefined;
  }
}
