// A test with its people, agents and servers, which all end with it; whatever happens, nobody may have been in trouble
// or have asked for anything from another place than its server.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startChromium, startFirefox, startPersistentChromium } from './browsers.mjs';
import { within } from './deadline.mjs';
import { inChromium, inFirefox } from './people.mjs';
import { Agent, Server, temporary } from './programs.mjs';

/** Browsers are started once for all tests of a file; each person has a context of their own. */
const browsers = {};

export function chromium() {
  return (browsers.chromium ??= startChromium());
}

export function firefox() {
  return (browsers.firefox ??= startFirefox());
}

/** To be called by `after` in every file. */
export async function closeBrowsers() {
  for (const browser of Object.values(browsers)) await (await browser).close();
}

/** `test('…', staged(async (scene) => { … }))` */
export function staged(play) {
  return async (t) => {
    const scene = new Scene();
    try {
      await play(scene, t);
      scene.check();
    } catch (error) {
      throw new Error(`${error.message}${await scene.notes()}`, { cause: error });
    } finally {
      await scene.end();
    }
  };
}

export class Scene {
  people = [];
  #ends = [];
  #origins = new Set();

  /** A server whose key lasts, so that it can be killed and started again. */
  async server(options) {
    const state = temporary('key');
    this.#ends.push(() => state.remove());
    this.main = await this.#started({ key: join(state.path, 'key'), ...options });
    return this.main;
  }

  /** The same server again, after it was killed. */
  async again({ port, key }) {
    this.main = await this.#started({ port, key });
    return this.main;
  }

  async #started(options) {
    const server = await Server.start(options);
    this.#ends.push(() => server.kill());
    this.#origins.add(`http://127.0.0.1:${server.port}`).add(`ws://127.0.0.1:${server.port}`);
    return server;
  }

  agent(name) {
    const agent = new Agent(name);
    this.#ends.push(() => agent.end());
    return agent;
  }

  /** Somebody in a Chromium. */
  async person(name, options) {
    return this.#watched(await inChromium(await chromium(), name, options));
  }

  async inFirefox(name) {
    return this.#watched(await inFirefox(await firefox(), name));
  }

  /** Somebody in a Chromium with a profile that outlives it. */
  async resident(name, profile) {
    const started = await startPersistentChromium(profile);
    if (profile === undefined) this.#ends.push(() => started.profile.remove());
    await started.context.grantPermissions(['clipboard-read', 'clipboard-write']);
    const person = this.#watched(await inChromium(undefined, name, started));
    person.profile = started.profile;
    return person;
  }

  /** Somebody whose camera sees this picture. */
  async photographer(name, picture) {
    const film = temporary('film');
    const path = join(film.path, 'seen.y4m');
    writeFileSync(path, filmOf(picture));
    const browser = await startChromium({
      args: ['--use-fake-ui-for-media-stream', '--use-fake-device-for-media-stream', `--use-file-for-fake-video-capture=${path}`],
    });
    this.#ends.push(() => film.remove(), () => browser.close());
    return this.#watched(await inChromium(browser, name));
  }

  #watched(person) {
    this.people.push(person);
    this.#ends.push(() => person.close());
    return person;
  }

  /** Ends with the scene, too; the last one first. */
  after(end) {
    this.#ends.push(end);
  }

  check() {
    for (const { name, hands } of this.people) {
      assert.deepEqual(hands.troubles, [], `${name} saw no error and no violation of the policy`);
      const foreign = hands.record.urls.filter((url) => !/^(data|blob):/.test(url) && !this.#origins.has(new URL(url).origin));
      assert.deepEqual(foreign, [], `${name}'s page asked nobody but the server`);
    }
  }

  /** What may tell why it failed. */
  async notes() {
    const read = ({ name, hands }) =>
      within(hands.run(() => document.querySelector('.editor')?.shadowRoot?.textContent), 'a look', 2000).then(
        (text) => `\n── ${name} has the text ${JSON.stringify(text)}`,
        (error) => `\n── ${name}: ${error.message}`,
      );
    const texts = await Promise.all(this.people.map(read));
    const troubles = this.people.flatMap(({ name, hands }) => hands.troubles.map((text) => `\n${name}: ${text}`));
    return `${texts.join('')}${troubles.join('')}\n── the server's last words:\n${this.main?.log.slice(-12).join('\n')}`;
  }

  async end() {
    // All at once but the directories, which come last.
    const ends = this.#ends.splice(0).reverse();
    for (const end of ends) await within(Promise.resolve().then(end), 'an end').catch((error) => console.error(String(error)));
  }
}

/** A film of one picture, held before a grey wall. */
function filmOf({ width, height, data }) {
  const [filmed, high] = [640, 480];
  const luma = Buffer.alloc(filmed * high, 128);
  const scale = Math.min(filmed / width, high / height) * 0.9;
  const [left, top] = [(filmed - width * scale) / 2, (high - height * scale) / 2];
  for (let y = 0; y < high; y++) {
    for (let x = 0; x < filmed; x++) {
      const [fromX, fromY] = [Math.floor((x - left) / scale), Math.floor((y - top) / scale)];
      if (fromX >= 0 && fromX < width && fromY >= 0 && fromY < height) luma[y * filmed + x] = data[(fromY * width + fromX) * 4];
    }
  }
  const frame = Buffer.concat([Buffer.from('FRAME\n'), luma, Buffer.alloc((filmed * high) / 2, 128)]);
  return Buffer.concat([Buffer.from(`YUV4MPEG2 W${filmed} H${high} F10:1 Ip A1:1 C420\n`), frame, frame]);
}
