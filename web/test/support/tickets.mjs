// Tickets that somebody made up.

import { createHash } from 'node:crypto';

const BEGINNING = 'symbolon1';

/** The ticket in a link. */
export function ticketOf(link) {
  return link.slice(link.indexOf(BEGINNING));
}

/** The same ticket, well-formed, with another seed: it leads to the room and opens nothing. */
export function withAnotherSeed(ticket) {
  const bytes = Buffer.from(ticket.slice(BEGINNING.length), 'base64url').subarray(0, -4);
  bytes[seedOf(bytes)] ^= 1;
  const check = createHash('sha256').update(bytes).digest().subarray(0, 4);
  return BEGINNING + Buffer.concat([bytes, check]).toString('base64url');
}

/** What nobody but members and the newcomer may ever see, in the ways it may be written. */
export function secretsOf(ticket) {
  const bytes = Buffer.from(ticket.slice(BEGINNING.length), 'base64url');
  const secrets = [seedOf(bytes), keyed(bytes, 3)].map((at) => bytes.subarray(at, at + 32));
  const written = secrets.flatMap((secret) => ['base64url', 'base64', 'hex', 'latin1'].map((way) => secret.toString(way).replace(/=+$/, '')));
  // Of the ticket itself any part; its first bytes are the same for all tickets of a server.
  const text = ticket.slice(ticket.length - 160);
  for (let at = 0; at + 24 <= text.length; at++) written.push(text.slice(at, at + 24));
  return [BEGINNING, ...written];
}

/** Where the 32 bytes under the key 7 begin. */
function seedOf(bytes) {
  return keyed(bytes, 7);
}

function keyed(bytes, key) {
  const at = bytes.indexOf(Buffer.from([key, 0x58, 0x20]));
  if (at < 0) throw new Error(`the ticket has nothing under ${key}`);
  return at + 3;
}
