// The one peer of this tab.
import { load, Peer } from 'symbolon';
import wasm from 'symbolon/core.wasm?url';

export interface Who {
  user: string;
  device: string;
}

const source = new URL(wasm, document.baseURI);

/** Begins to load what every room needs, so that it is there when somebody has typed a name. */
export function warm(): void {
  void load(source).catch(() => {}); // told when it is needed
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
  // Also in a tab that leaves the connections to another one: tickets and strokes are read here.
  await load(source);
  return Peer.open({ user: who.user, deviceName: who.device, wasm: source });
}
