// The one peer of this tab.
import { Peer } from 'symbolon';
import wasm from 'symbolon/core.wasm?url';

export interface Who {
  user: string;
  device: string;
}

let opened: Promise<Peer> | undefined;

export function openPeer(who: Who): Promise<Peer> {
  opened ??= Peer.open({ user: who.user, deviceName: who.device, wasm: new URL(wasm, document.baseURI) }).catch((error: unknown) => {
    opened = undefined;
    throw error;
  });
  return opened;
}

/** Under another name: rooms joined from now on know this device by it. */
export async function reopenPeer(who: Who): Promise<Peer> {
  const before = opened;
  opened = undefined;
  await before?.then((peer) => peer.close()).catch(() => {});
  return openPeer(who);
}
