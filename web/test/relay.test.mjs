// People whose browsers reach nobody directly: what they have is the server's own relay.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { closeBrowsers, staged } from './support/index.mjs';

after(closeBrowsers);

/** A browser in whose network nothing but the relay works; notes what it offers to others. */
function relayedOnly() {
  window.offered = new Set();
  window.RTCPeerConnection = class extends window.RTCPeerConnection {
    constructor(configuration) {
      super({ ...configuration, iceTransportPolicy: 'relay' });
      this.addEventListener('icecandidate', ({ candidate }) => candidate?.type && window.offered.add(candidate.type));
    }
  };
}

function meetOver(transport) {
  return staged(async (scene) => {
    const options = [`--turn-${transport}`, '127.0.0.1:0', '--turn-allow-private', '127.0.0.0/8'];
    const server = await scene.server({ options });
    const ada = await scene.person('Ada', { before: relayedOnly });
    await ada.create(server, 'plans');
    const bo = await scene.person('Bo', { before: relayedOnly });
    await bo.join(await ada.invite());
    await bo.write('through the relay');
    await ada.untilText('through the relay');
    await ada.untilMember('Bo', 'connected');
    for (const { hands } of [ada, bo]) {
      assert.deepEqual(await hands.run(() => [...window.offered]), ['relay']);
    }
  });
}

test('rv7_two_pages_with_nothing_but_the_relay_meet_over_udp', meetOver('udp'));
test('rv7_two_pages_with_nothing_but_the_relay_meet_over_tcp', meetOver('tcp'));
