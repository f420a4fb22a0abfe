// What went wrong, and what to do: every sentence of failure that the page shows.

export interface Trouble {
  title: string;
  /** What happened and what to do next. */
  text: string;
  /** Something the same try may mend. */
  retry?: boolean;
}

const TROUBLES: Record<string, Trouble> = {
  // tickets
  malformed_ticket: {
    title: 'This is not a complete invite',
    text: 'A part of it is missing or changed. Copy the whole link again, from its beginning to its end.',
  },
  expired: {
    title: 'This invite has expired',
    text: 'Invites end after a while. Ask the person who sent it for a new one.',
  },
  used: {
    title: 'This invite was used already',
    text: 'Others took its places first. Ask the person who sent it for a new one, and tell them if nobody else should have had it.',
  },
  not_for_this_device: {
    title: 'This invite is for another device',
    text: 'It was made for one device only. Open it there, or ask for one without that limit.',
  },
  // joining
  nobody_answered: {
    title: 'Nobody answered',
    text: 'Either no member of the room is online, or the invite was used already. Ask the person who sent it to open the room, then try again; or ask for a new invite.',
    retry: true,
  },
  join_under_way: {
    title: 'Already on the way in',
    text: 'This room is being joined right now, perhaps in another tab. Give it a moment.',
  },
  no_connection: {
    title: 'A member answered, but no connection came about',
    text: 'A firewall may stand between you. Try again, or try from another network, such as your phone’s.',
    retry: true,
  },
  timeout: {
    title: 'This takes too long',
    text: 'The others may be offline, or the network slow. Try again in a moment.',
    retry: true,
  },
  chain_too_long: {
    title: 'You cannot invite others here',
    text: 'Too many invites lie between you and the person who founded the room. Ask somebody who was in it earlier to invite them.',
  },
  // servers
  server_unreachable: {
    title: 'The server cannot be reached',
    text: 'Check your network. If it works otherwise, the server may be down; whoever runs it can tell.',
    retry: true,
  },
  server_refused: {
    title: 'The server turned us away',
    text: 'It may be full, closed to strangers, or your clock may be wrong. Try again later, or ask whoever runs it.',
    retry: true,
  },
  wrong_server: {
    title: 'This server is not the one it should be',
    text: 'Its key is not the one in the invite, so nothing was sent to it. Do not go on before you know why: ask whoever runs it, by another way than this page.',
  },
  // rooms
  no_such_room: {
    title: 'This browser is not in that room',
    text: 'Rooms are kept in the browser that joined them. Ask a member for an invite, or open it where you joined it.',
  },
  ambiguous_room: { title: 'More than one room fits', text: 'Choose it from your list of rooms.' },
  invalid_name: { title: 'This name cannot be used', text: 'A name has 1 to 96 letters, without control characters. Choose another one.' },
  invalid_request: { title: 'That cannot be done', text: 'The request did not make sense to the core. Load the page again; if it stays so, it is a mistake of ours.' },
  out_of_range: { title: 'That place in the text is gone', text: 'Others changed the text meanwhile. Try again.' },
  // this browser
  store: {
    title: 'Nothing can be saved here',
    text: 'The browser’s storage is full or switched off, as in some private windows. Free some space or open this page in a normal window, then load it again.',
  },
  busy: { title: 'Too much at once', text: 'Wait a moment and try again.', retry: true },
  closed: { title: 'The connection to this room ended', text: 'Load the page again to go on. What you wrote is kept.' },
  in_use: {
    title: 'Another tab is holding this room',
    text: 'Close other tabs with Symbolon, then load this page again.',
  },
  insecure: {
    title: 'This page needs a secure address',
    text: 'Browsers keep keys and open connections only on pages loaded over https (or from this very computer). Use the https address of this server, or ask whoever runs it.',
  },
  interrupted: {
    title: 'It was interrupted',
    text: 'Another tab took over, or the page was put to sleep. Try again.',
    retry: true,
  },
  too_large: {
    title: 'That is too much for one change',
    text: 'It was not taken over. Paste it in smaller parts.',
  },
  damaged: {
    title: 'What this browser keeps of a room is damaged',
    text: 'Ask a member for a new invite and join again; then leave the damaged room.',
  },
  wasm: {
    title: 'The page could not load all of itself',
    text: 'Check the network and load the page again. If it stays so, an extension or an old browser may be in the way.',
    retry: true,
  },
  unsupported: {
    title: 'This browser lacks something Symbolon needs',
    text: 'It needs WebAssembly, WebRTC and storage. Use a current Firefox, Chrome, Edge or Safari, not in lockdown mode.',
  },
  // agents that serve the page
  too_many_connections: { title: 'The agent has too many connections', text: 'Close other programs that use it, then try again.', retry: true },
  too_many_snapshots: { title: 'Too much is under way at the agent', text: 'Wait a moment and try again.', retry: true },
  // the camera
  camera_refused: {
    title: 'The camera is not allowed',
    text: 'Allow it for this page in the browser’s settings (often a sign left of the address), then try again. Or paste the link instead.',
    retry: true,
  },
  camera_missing: { title: 'No camera was found', text: 'Paste the link instead, or open it on the phone that received it.' },
  camera_insecure: {
    title: 'The camera needs a secure page',
    text: 'Browsers open it only for pages loaded over https. Paste the link instead.',
  },
  camera_busy: { title: 'The camera cannot be used', text: 'Another program may hold it. Close that and try again, or paste the link.', retry: true },
  // the page
  copy: { title: 'It could not be copied', text: 'Select the link and copy it by hand.' },
  cut: { title: 'A member broke the rules and was cut off', text: 'What they sent after that is not taken over. Ask them to bring their program up to date; if you do not know them, ask who invited them.' },
  server_address: { title: 'This is not a server’s address', text: 'It looks like wss://chat.example.org.' },
};

export function troubleOf(code: string, message?: string): Trouble {
  return (
    TROUBLES[code] ?? {
      title: 'Something went wrong',
      text: `${message ? `${sentence(message)} ` : ''}Load the page again; what you wrote is kept.`,
    }
  );
}

/** The code of whatever was thrown. */
export function codeOf(error: unknown): string {
  if (typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string') return error.code;
  if (error instanceof DOMException && error.name === 'QuotaExceededError') return 'store';
  return 'unknown';
}

export function troubleFrom(error: unknown): Trouble {
  return troubleOf(codeOf(error), error instanceof Error ? error.message : undefined);
}

function sentence(text: string): string {
  const first = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(first) ? first : `${first}.`;
}
