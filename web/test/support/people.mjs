// People at the page. They find things by role and name, as eyes, fingers and screen readers do; in Chromium and in
// Firefox alike.

import { readFileSync } from 'node:fs';
import { person as chromiumPerson } from './browsers.mjs';
import { DEADLINE, within } from './deadline.mjs';

/** What scripts and policies say went wrong, but for a server that is away: tests stop it on purpose. */
const AWAY = /WebSocket connection|ERR_CONNECTION_REFUSED|can.t establish a connection|was interrupted while the page was loading|NetworkError/;

/** A person with a page of their own in a Chromium. */
export async function inChromium(browser, name, { context, options = {}, before } = {}) {
  context ??= await chromiumPerson(browser, { permissions: ['clipboard-read', 'clipboard-write'], ...options });
  const page = context.pages()[0] ?? (await context.newPage());
  const person = new Person(name, new Chromium(page, context));
  if (before !== undefined) await context.addInitScript(before);
  return person;
}

/** A person with a page of their own in a Firefox. */
export async function inFirefox(browser, name) {
  const context = await browser.createBrowserContext();
  const page = await context.newPage();
  return new Person(name, await Firefox.watch(page, context));
}

/** What a page asked for and said: to which places, in which words. */
class Record {
  urls = [];
  words = [];

  request(url, ...words) {
    this.urls.push(url);
    this.words.push(url, ...words.filter(Boolean));
  }
}

class Chromium {
  constructor(page, context) {
    Object.assign(this, { page, context, kind: 'chromium' });
    this.record = context.record ?? watchRequests(context);
  }

  get troubles() {
    return this.context.troubles;
  }

  goto = (url) => this.page.goto(url);
  reload = () => this.page.reload();
  press = (role, name, exact) => this.page.getByRole(role, { name, exact }).click();
  fill = (name, value) => this.page.getByRole('textbox', { name, exact: true }).fill(value);
  choose = (name, label) => this.page.getByLabel(name).selectOption({ label });
  see = (role, name) => this.page.getByRole(role, { name }).first().waitFor();
  key = (keys) => this.page.keyboard.press(keys);
  type = (text) => this.page.keyboard.type(text);
  run = (what, argument) => this.page.evaluate(what, argument);
  until = (what, argument, timeout = DEADLINE) => this.page.waitForFunction(what, argument, { timeout, polling: 20 });
  close = () => this.context.close();
}

class Firefox {
  static async watch(page, context) {
    const hands = new Firefox();
    Object.assign(hands, { page, context, kind: 'firefox', troubles: [], record: new Record() });
    page.setDefaultTimeout(DEADLINE);
    page.on('pageerror', (error) => hands.#trouble(String(error?.stack ?? error)));
    page.on('console', (message) => message.type() === 'error' && hands.#trouble(message.text()));
    page.on('request', (request) => hands.record.request(request.url()));
    await page.evaluateOnNewDocument(() => {
      addEventListener('securitypolicyviolation', (event) => console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`));
    });
    return hands;
  }

  #trouble(text) {
    if (!AWAY.test(text)) this.troubles.push(text);
  }

  /** A person is at one window at a time: a page in the background is not drawn and has no focus. */
  async #look() {
    const browser = this.page.browser();
    if (looking.get(browser) === this) return;
    await this.page.bringToFront();
    looking.set(browser, this);
  }

  /** Firefox's own search by role and name takes half a second each time. */
  async #find(role, name) {
    await this.#look();
    return this.page.waitForFunction(shown, { timeout: DEADLINE, polling: 20 }, role, name);
  }

  async #at(what) {
    await this.#look();
    return what();
  }

  goto = (url) => this.#at(() => this.page.goto(url));
  reload = () => this.#at(() => this.page.reload());
  press = async (role, name) => (await this.#find(role, name)).click();
  fill = async (name, value) => {
    const field = await this.#find('textbox', name);
    await field.evaluate((field) => field.select());
    await field.type(value);
  };
  see = (role, name) => this.#find(role, name);
  key = async (keys) => {
    const parts = keys.split('+');
    const last = parts.pop();
    for (const part of parts) await this.page.keyboard.down(part);
    await this.page.keyboard.press(last);
    for (const part of parts.reverse()) await this.page.keyboard.up(part);
  };
  type = (text) => this.#at(() => this.page.keyboard.type(text));
  run = (what, argument) => this.#at(() => this.page.evaluate(what, argument));
  until = (what, argument, timeout = DEADLINE) =>
    this.#at(() => this.page.waitForFunction(what, { timeout, polling: 20 }, argument));
  close = () => this.context.close();
}

/** Runs in the page: what can be seen with this role and name, within the dialog if there is one. */
function shown(role, name) {
  const selectors = { button: 'button, summary', tab: '[role=tab]', textbox: 'input', heading: 'h1, h2', img: '[role=img]' };
  const within = document.querySelector('dialog[open]') ?? document;
  const nameOf = (part) => part.ariaLabel ?? part.labels?.[0]?.innerText ?? part.innerText;
  return [...within.querySelectorAll(selectors[role])].find((part) => part.getClientRects().length > 0 && nameOf(part).trim() === name);
}

/** Whose page is in front, by browser. */
const looking = new WeakMap();

/** All that any page and worker of a context asks for, and what it says over sockets. */
function watchRequests(context) {
  const record = (context.record = new Record());
  context.on('request', (request) =>
    record.request(request.url(), request.postData(), JSON.stringify(request.headers())),
  );
  const watch = (page) =>
    page.on('websocket', (socket) => {
      record.request(socket.url());
      socket.on('framesent', ({ payload }) => record.words.push(String(payload)));
    });
  context.pages().forEach(watch);
  context.on('page', watch);
  return record;
}

export class Person {
  constructor(name, hands) {
    this.name = name;
    this.hands = hands;
  }

  /** Another page of the same browser and person. */
  async anotherTab() {
    return new Person(this.name, new Chromium(await this.hands.context.newPage(), this.hands.context));
  }

  get page() {
    return this.hands.page;
  }

  /** Says what the page showed, should the time run out. */
  async #patiently(promise, what, timeout = DEADLINE) {
    try {
      return await within(promise, `${this.name}: ${what}`, timeout + 1000);
    } catch (error) {
      const shown = await within(this.hands.run(() => `${location.href}\n${document.body.innerText}`), 'the page', 2000).catch(String);
      throw new Error(`${this.name}, ${what}: ${error.message}\n── on the page:\n${shown}\n──`, { cause: error });
    }
  }

  async visit(url) {
    await this.#patiently(this.hands.goto(url), `opens ${new URL(url).origin}`);
  }

  async press(role, name, exact) {
    await this.#patiently(this.hands.press(role, name, exact), `presses the ${role} ${name}`);
  }

  async fill(name, value) {
    await this.#patiently(this.hands.fill(name, value), `fills ${name}`);
  }

  async see(role, name) {
    await this.#patiently(this.hands.see(role, name), `sees the ${role} ${name}`);
  }

  async until(what, argument, why = String(what), timeout = DEADLINE) {
    return this.#patiently(this.hands.until(what, argument, timeout), `until ${why}`, timeout);
  }

  /** Founds a room from the start view; ends in the dialog that invites. */
  async create(server, room) {
    await this.visit(home(server));
    await this.fill('Your name', this.name);
    await this.fill('Name of the room', room);
    await this.press('button', 'Create room');
    await this.see('button', 'Copy link');
  }

  /** The link in the dialog, which is opened if it is not. */
  async invite({ people } = {}) {
    const open = await this.hands.run(() => document.querySelector('dialog[open]') !== null);
    if (!open) await this.press('button', 'Invite', true);
    await this.untilLink();
    if (people !== undefined) {
      const before = await this.#link();
      await this.hands.choose('Good for', people);
      await this.press('button', 'New link');
      await this.untilLink(before);
    }
    return this.#link();
  }

  /** The link, by the copy button. All contexts of a browser have one clipboard, so tests that run at once cannot. */
  async copy() {
    await this.press('button', 'Copy link');
    await this.see('button', 'Copied');
    return this.hands.run(() => navigator.clipboard.readText());
  }

  untilLink = (other = '') =>
    this.until((other) => {
      const { value } = document.querySelector('[aria-label="Invite link"]') ?? {};
      return value && value !== other;
    }, other, 'there is a link');

  #link = () => this.hands.run(() => document.querySelector('[aria-label="Invite link"]').value);

  /** The same once more, from wherever the dialog is by now. */
  async inviteAnother() {
    if (await this.hands.run(() => document.querySelector('dialog[open]') !== null)) await this.dismiss();
    const link = await this.invite();
    await this.dismiss();
    return link;
  }

  /** Closes the dialog that is open. */
  async dismiss() {
    await this.press('button', 'Close');
    await this.until(() => document.querySelector('dialog[open]') === null, undefined, 'the dialog is closed');
  }

  /** Opens a link, says who this is, and is in the room. */
  async join(link) {
    await this.visit(link);
    await this.introduce();
    await this.inRoom();
  }

  /** Types a name where an invite asks for it. */
  async introduce() {
    await this.fill('Your name', this.name);
    await this.press('button', 'Join', true);
  }

  /** Joins from the start view by what was pasted. */
  async paste(server, ticket) {
    await this.visit(home(server));
    await this.fill('Your name', this.name);
    await this.fill('Invite link or ticket', ticket);
    await this.press('button', 'Join', true);
  }

  inRoom = () => this.until(() => document.querySelector('.editor')?.shadowRoot?.querySelector('[aria-label="Shared text"]'), undefined, 'the room is open');

  /** What stops this person, once the page says it; it tries to join for 30 s. */
  async trouble() {
    await this.until(() => document.querySelector('[role=alert]')?.innerText, undefined, 'the page says what is wrong', 45_000);
    return this.hands.run(() => document.querySelector('main').innerText);
  }

  /** Writes at the end of the text, or of one of its lines (from 0). */
  async write(text, line) {
    await this.focus();
    await this.hands.key(line === undefined ? 'Control+End' : 'Control+Home');
    for (let down = 0; down < line; down++) await this.hands.key('ArrowDown');
    if (line !== undefined) await this.hands.key('End');
    await this.hands.type(text);
  }

  /** The focus is in the text; a dialog that is being closed would take it away again. */
  focus = () =>
    this.until(
      () => {
        const { shadowRoot } = document.querySelector('.editor');
        const text = shadowRoot.querySelector('[aria-label="Shared text"]');
        if (document.querySelector('dialog[open]') !== null) return false;
        if (shadowRoot.activeElement === text && document.hasFocus()) return true;
        text.focus();
        return false;
      },
      undefined,
      'the focus is in the text',
    );

  text = () => this.hands.run(shownText);

  untilText = (part) => this.until(shownText, part, `the text has ${JSON.stringify(part)}`);

  /** Names at the cursors of others. */
  cursors = () =>
    this.hands.run(() => {
      const { shadowRoot } = document.querySelector('.editor');
      return [...shadowRoot.querySelectorAll('.remote-name')].map((name) => name.textContent);
    });

  untilCursor = (name) =>
    this.until(
      (name) => [...document.querySelector('.editor').shadowRoot.querySelectorAll('.remote-name')].some((at) => at.textContent === name),
      name,
      `the cursor of ${name} is there`,
    );

  /** Switches to the canvas. */
  async canvas() {
    await this.press('tab', 'Canvas');
    await this.until(() => document.querySelector('canvas[aria-label^="Drawing"]')?.width > 1, undefined, 'the canvas is there');
  }

  /** How many strokes the drawing says it has. */
  strokes = () => this.hands.run(() => Number(/\d+/.exec(document.querySelector('canvas').ariaLabel)[0]));

  untilStrokes = (count) =>
    this.until(
      (count) => Number(/\d+/.exec(document.querySelector('canvas').ariaLabel)[0]) === count,
      count,
      `the drawing has ${count} strokes`,
    );

  /** Until something on the paper is of this colour. */
  untilPixels = (color) =>
    this.until(
      (color) => {
        const canvas = document.querySelector('canvas');
        const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
        const [red, green, blue] = [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16));
        for (let at = 0; at < data.length; at += 4) {
          if (data[at] === red && data[at + 1] === green && data[at + 2] === blue && data[at + 3] === 255) return true;
        }
        return false;
      },
      color,
      `something ${color} is drawn`,
    );

  /** Draws with the mouse through these places of the paper. */
  async draw(...places) {
    await this.holdPen(...places);
    await this.page.mouse.up();
  }

  /** The same, and does not lift the pen. */
  async holdPen([x, y], ...rest) {
    const box = await this.page.getByRole('img', { name: /^Drawing/ }).boundingBox();
    await this.page.mouse.move(box.x + x, box.y + y);
    await this.page.mouse.down();
    for (const [x, y] of rest) await this.page.mouse.move(box.x + x, box.y + y, { steps: 5 });
  }

  /** What a button saves: the file's name and bytes. */
  async download(button) {
    const [download] = await Promise.all([this.page.waitForEvent('download'), this.press('button', button)]);
    return { name: download.suggestedFilename(), bytes: readFileSync(await download.path()) };
  }

  /** The list of members, as read out. */
  members = () => this.hands.run(() => [...document.querySelectorAll('[aria-label="Members"] > li')].map((item) => item.innerText));

  untilMember = (name, part) =>
    this.until(
      ([name, part]) => [...document.querySelectorAll('[aria-label="Members"] > li')].some(({ textContent: text }) => text.includes(name) && text.includes(part)),
      [name, part],
      `${name} is shown as ${JSON.stringify(part)}`,
    );

  /** The list of connections, as the drawing's text says them. */
  edges = () => this.hands.run(() => [...document.querySelectorAll('.edges > li')].map((item) => item.textContent));

  untilEdges = (state, count, timeout) =>
    this.until(
      ([state, count]) =>
        document.querySelectorAll(`.edges > li[data-state="${state}"]`).length === count &&
        document.querySelectorAll(`.topology line.${state}`).length === count,
      [state, count],
      `${count} connections are ${state}`,
      timeout,
    );

  says = (part) => this.until((part) => document.body.innerText.includes(part), part, `the page says ${JSON.stringify(part)}`);

  /** Until the page no longer says this. */
  silent = (part) => this.until((part) => !document.body.innerText.includes(part), part, `the page does not say ${JSON.stringify(part)}`);

  /** Until what was written is stored. */
  kept = () => this.until(() => !/saving…/.test(document.body.innerText), undefined, 'what was written is stored');

  /** Opens the room's menu. */
  menu = () => this.hands.run(() => document.querySelector('[aria-label="Menu"]').click());

  url = () => this.hands.run(() => location.href);

  close = () => this.hands.close();
}

/** The address of the page that a server serves. */
export function home(server) {
  return `http://127.0.0.1:${server.port}/`;
}

/** Runs in the page: the shared text without the cursors of others, or whether it has this in it. */
function shownText(part) {
  const content = document.querySelector('.editor')?.shadowRoot?.querySelector('[aria-label="Shared text"]');
  if (!content) return undefined;
  const lines = [...content.querySelectorAll('.cm-line')].map((line) => {
    const copy = line.cloneNode(true);
    for (const other of copy.querySelectorAll('.remote-caret, .cm-placeholder, .cm-widgetBuffer')) other.remove();
    return copy.textContent;
  });
  const text = lines.join('\n');
  return part === undefined || part === null ? text : text.includes(part);
}

/** What the screen shows of something, as pixels. */
export async function picture(page, locator) {
  const shot = await locator.screenshot();
  const { width, height, bytes } = await page.evaluate(async (base64) => {
    const file = new Blob([Uint8Array.from(atob(base64), (char) => char.charCodeAt(0))], { type: 'image/png' });
    const image = await createImageBitmap(file);
    const context = new OffscreenCanvas(image.width, image.height).getContext('2d');
    context.drawImage(image, 0, 0);
    const { data } = context.getImageData(0, 0, image.width, image.height);
    let text = '';
    for (let at = 0; at < data.length; at += 4096) text += String.fromCharCode(...data.subarray(at, at + 4096));
    return { width: image.width, height: image.height, bytes: btoa(text) };
  }, shot.toString('base64'));
  return { width, height, data: new Uint8Array(Buffer.from(bytes, 'base64')) };
}
