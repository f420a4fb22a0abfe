// What this browser remembers about its user, besides what the peer keeps itself.

export type Theme = 'auto' | 'light' | 'dark';

interface Prefs {
  user: string;
  device: string;
  theme: Theme;
  server: string;
  color: string;
  pen: string;
}

const PREFIX = 'symbolon.';

export function remembered<K extends keyof Prefs>(key: K): Prefs[K] | undefined {
  try {
    return (localStorage.getItem(PREFIX + key) as Prefs[K] | null) ?? undefined;
  } catch {
    return undefined; // storage is switched off: ask again next time
  }
}

export function remember<K extends keyof Prefs>(key: K, value: Prefs[K]): void {
  try {
    localStorage.setItem(PREFIX + key, value);
  } catch {
    // as above
  }
}

/** A name for this device that its user will recognise in a list. */
export function guessDevice(agent = navigator.userAgent): string {
  const browser = /Firefox|FxiOS/.test(agent)
    ? 'Firefox'
    : /Edg\//.test(agent)
      ? 'Edge'
      : /OPR\//.test(agent)
        ? 'Opera'
        : /Chrome|CriOS/.test(agent)
          ? 'Chrome'
          : /Safari/.test(agent)
            ? 'Safari'
            : 'Browser';
  const system = /iPhone/.test(agent)
    ? 'iPhone'
    : /iPad/.test(agent)
      ? 'iPad'
      : /Android/.test(agent)
        ? 'Android'
        : /Windows/.test(agent)
          ? 'Windows'
          : /Mac OS X/.test(agent)
            ? 'Mac'
            : /CrOS/.test(agent)
              ? 'Chromebook'
              : /Linux/.test(agent)
                ? 'Linux'
                : '';
  return system ? `${browser} on ${system}` : browser;
}
