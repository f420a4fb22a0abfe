// The one peer of this tab.
import { load, Peer } from 'symbolon';
import wasm from 'symbolon/core.wasm?url';

export interface Who {
  user: string;
  device: string;
}

let opened: Promise<Peer> | undefined;

/** Names count at the first visit only: from then on members know this device by them. */
export function openPeer(who: Who): Promise<Peer> {
  opened ??= open(who).catch((error: unknown) => {
    opened = undefined;
    throw error;
  });
  return opened;
}

async function open(who: Who): Promise<Peer> {
  const source = new URL(wasm, document.baseURI);
  // Also in a tab that leaves the connections to another one: tickets and strokes are read here.
  await load(source);
  return Peer.open({ user: who.user, deviceName: who.device, wasm: source });
}
