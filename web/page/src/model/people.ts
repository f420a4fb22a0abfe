// People as the page shows them: names, initials, colours, and how we reach them in words.
import type { MemberStatus } from 'symbolon';
import { ago } from './time';

/** Told apart by eye on light and dark; each dark enough for white initials. */
export const COLORS = [
  '#0b7a6f',
  '#a8560a',
  '#3b5bd0',
  '#b0336f',
  '#5a7d0c',
  '#7a44c4',
  '#c03a2b',
  '#11749e',
  '#8a6a00',
  '#8d3fa0',
  '#2f7d3b',
  '#68615a',
] as const;

export function colorOf(device: string): string {
  let sum = 7;
  for (let i = 0; i < device.length; i++) sum = (sum * 31 + device.charCodeAt(i)) >>> 0;
  return COLORS[sum % COLORS.length] ?? COLORS[0];
}

/** A colour that came from somebody else, or one that goes with the number if it is no plain colour. */
export function safeColor(color: unknown, client: number): string {
  if (typeof color === 'string' && /^#[0-9a-f]{6}$/i.test(color)) return color;
  return COLORS[client % COLORS.length] ?? COLORS[0];
}

/** A name that came from somebody else, fit for a label. */
export function safeName(name: unknown): string {
  if (typeof name !== 'string') return 'Somebody';
  const clean = name.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, '').trim();
  return clean.length > 32 ? `${clean.slice(0, 31)}…` : clean || 'Somebody';
}

export function initials(name: string): string {
  const words = name.trim().split(/\s+/);
  const first = [...(words[0] ?? '')][0] ?? '?';
  const last = words.length > 1 ? ([...(words.at(-1) ?? '')][0] ?? '') : '';
  return (first + last).toUpperCase();
}

/** What to call each member: the user's name, with the device's where two have the same. */
export function labels(members: readonly MemberStatus[]): Map<string, string> {
  const count = new Map<string, number>();
  for (const { user } of members) count.set(user, (count.get(user) ?? 0) + 1);
  return new Map(
    members.map((member) => [
      member.device,
      (count.get(member.user) ?? 0) > 1 ? `${safeName(member.user)} (${safeName(member.name)})` : safeName(member.user),
    ]),
  );
}

export function reachInWords(member: MemberStatus, labels: ReadonlyMap<string, string>): string {
  switch (member.reach) {
    case 'own':
      return 'this device';
    case 'direct':
      return 'connected directly';
    case 'through': {
      const names = member.through.map((device) => labels.get(device) ?? 'another member');
      return names.length ? `connected through ${list(names.slice(0, 2), 'or')}` : 'connected through others';
    }
    case 'connecting':
      return 'connecting…';
    case 'away':
      return member.last_seen ? `away · last seen ${ago(member.last_seen)}` : 'away';
  }
}

export function list(names: readonly string[], and = 'and'): string {
  if (names.length < 2) return names[0] ?? '';
  return `${names.slice(0, -1).join(', ')} ${and} ${names.at(-1)}`;
}

/** Oneself first, then who is here, then the others; by name within each. */
export function sorted(members: readonly MemberStatus[]): MemberStatus[] {
  const rank = (member: MemberStatus) => (member.own ? 0 : member.online ? 1 : 2);
  return [...members].sort((a, b) => rank(a) - rank(b) || a.user.localeCompare(b.user) || (a.device < b.device ? -1 : 1));
}
