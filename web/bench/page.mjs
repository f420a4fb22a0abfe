// The page as people use it, on the real server, with real agents: weight, times, memory. `cargo xtask bench web`.

import { connect } from 'node:net';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { join } from 'node:path';
import { startChromium } from '../test/support/browsers.mjs';
import { inChromium } from '../test/support/people.mjs';
import { Agent, Server } from '../test/support/programs.mjs';

const RUNS = Number(process.env.RUNS ?? 10);
const KEYS = Number(process.env.KEYS ?? 100);
const PEERS = Number(process.env.PEERS ?? 11);
const TEXT = 'What was written before you came.';

const browser = await startChromium();
const server = await Server.start();
const agent = new Agent('Ada');
const others = [];
try {
  console.log(`the page in Chromium ${browser.version()}, agent and server on the same machine; times in ms, p50 / p99`);
  const room = await agent.create('bench', server);
  await agent.run('edit', room, '--insert', TEXT);
  const link = async () => (await agent.invite(room)).link;

  const first = [];
  const ready = [];
  let bytes = 0;
  for (let run = 0; run < RUNS; run++) {
    const person = await inChromium(browser, 'Bo');
    const weight = await weigh(person);
    await person.visit(await link());
    await person.hands.see('button', 'Join');
    ready.push(await person.hands.run(() => performance.now()));
    await person.fill('Your name', 'Bo');
    bytes = weight();
    await watchText(person);
    const pressed = await person.hands.run(() => performance.now());
    await person.press('button', 'Join', true);
    first.push((await textSeen(person)) - pressed);
    await person.close();
  }
  print('first visit: bytes over the wire until a name can be typed', `${(bytes / 1000).toFixed(0)} KB`);
  print('first visit: link opened to a name that can be typed', times(ready));
  print('first visit: Join pressed to the text visible', times(first));

  const known = [];
  const bo = await inChromium(browser, 'Bo');
  await bo.join(await link());
  for (let run = 0; run < RUNS; run++) {
    const one = await agent.create(`room ${run}`, server);
    await agent.run('edit', one, '--insert', TEXT);
    const invitation = (await agent.invite(one)).link;
    await bo.visit('about:blank');
    await bo.hands.context.addInitScript(watch, TEXT);
    await bo.visit(invitation);
    known.push(await textSeen(bo));
  }
  print('somebody who was here before: link opened to the text visible', times(known));
  await bo.close();

  const cleo = await inChromium(browser, 'Cleo');
  await cleo.join(await link());
  await cleo.until((text) => document.querySelector('.editor').shadowRoot.textContent.includes(text), TEXT);
  print('key press in Chromium to the agent', times(await keysToAgent(cleo, room)));
  print('key at the agent to the page', times(await keysToPage(cleo, room)));

  const before = await memory(cleo);
  for (let n = 1; n < PEERS; n++) {
    const other = new Agent(`peer ${n}`);
    others.push(other);
    await other.join(await link());
  }
  await cleo.until((links) => document.querySelectorAll('svg .confirmed, svg [data-state="confirmed"]').length >= links || performance.now() > 60_000, (PEERS * (PEERS + 1)) / 2).catch(() => {});
  const after = await memory(cleo);
  print(`memory with 1 peer (JavaScript heap; the tab's process)`, before);
  print(`memory with ${PEERS} peers`, after);
  await cleo.close();
} finally {
  await browser.close();
  for (const other of [agent, ...others]) await other.end();
  await server.kill();
}

/** Counts what comes over the wire, compressed, headers included. */
async function weigh({ hands }) {
  const session = await hands.context.newCDPSession(hands.page);
  await session.send('Network.enable');
  let bytes = 0;
  session.on('Network.loadingFinished', ({ encodedDataLength }) => (bytes += encodedDataLength));
  return () => bytes;
}

/** Notes when the text is in the document, on the page's own clock. */
function watch(text) {
  const look = () => {
    const shown = document.querySelector('.editor')?.shadowRoot?.textContent ?? '';
    if (shown.includes(text)) window.seen ??= performance.now();
    else requestAnimationFrame(look);
  };
  look();
}

function watchText({ hands }) {
  return hands.run(watch, TEXT);
}

async function textSeen(person) {
  await person.until(() => window.seen !== undefined, undefined, 'the text is visible');
  return person.hands.run(() => window.seen);
}

async function keysToAgent(person, room) {
  const agentSocket = await control();
  await agentSocket.ask('subscribe', { room });
  await person.focus();
  await person.hands.key('Control+End');
  await person.hands.run(() => {
    window.pressed = [];
    addEventListener('keydown', (event) => window.pressed.push(performance.timeOrigin + event.timeStamp), true);
  });
  const seen = [];
  agentSocket.onEvent = ({ type }) => type === 'text' && seen.push(clock());
  for (let n = 0; n < KEYS; n++) {
    await person.hands.key('k');
    await pause(60);
  }
  while (seen.length < KEYS) await pause(20);
  const pressed = await person.hands.run(() => window.pressed);
  agentSocket.end();
  return pressed.map((at, n) => seen[n] - at);
}

async function keysToPage(person, room) {
  const agentSocket = await control();
  await person.hands.run(() => {
    window.changed = [];
    const { shadowRoot } = document.querySelector('.editor');
    const content = shadowRoot.querySelector('.cm-content');
    let length = content.textContent.length;
    new MutationObserver(() => {
      for (; length < content.textContent.length; length++) window.changed.push(performance.timeOrigin + performance.now());
    }).observe(content, { childList: true, subtree: true, characterData: true });
  });
  const pressed = [];
  for (let n = 0; n < KEYS; n++) {
    pressed.push(clock());
    await agentSocket.ask('insert', { room, text: 'a', at: 0 });
    await pause(60);
  }
  await person.until((count) => window.changed.length >= count, KEYS);
  const changed = await person.hands.run(() => window.changed);
  agentSocket.end();
  return pressed.map((at, n) => changed[n] - at);
}

/** The agent's control interface (docs/CONTROL.md). */
async function control() {
  const socket = connect(join(agent.home, 'agent.sock'));
  const waiting = new Map();
  const client = {
    onEvent: () => {},
    ask: (method, params) =>
      new Promise((resolve) => {
        waiting.set(waiting.size + 1, resolve);
        socket.write(`${JSON.stringify({ jsonrpc: '2.0', id: waiting.size, method, params })}\n`);
      }),
    end: () => socket.end(),
  };
  createInterface({ input: socket }).on('line', (line) => {
    const message = JSON.parse(line);
    if (message.error) throw new Error(line);
    if (message.method === 'event') client.onEvent(message.params);
    else waiting.get(message.id)?.();
  });
  return client;
}

async function memory({ hands }) {
  const session = await hands.context.newCDPSession(hands.page);
  await session.send('HeapProfiler.enable');
  await session.send('HeapProfiler.collectGarbage');
  const { usedSize } = await session.send('Runtime.getHeapUsage');
  const root = await browser.newBrowserCDPSession();
  const { processInfo } = await root.send('SystemInfo.getProcessInfo');
  const renderers = processInfo.filter(({ type }) => type === 'renderer').map(({ id }) => resident(id));
  return `${(usedSize / 1e6).toFixed(1)} MB; ${Math.max(...renderers).toFixed(0)} MB`;
}

function resident(pid) {
  return Number(/RssAnon:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) / 1000;
}

/** On the clock of the pages of this machine. */
function clock() {
  return performance.timeOrigin + performance.now();
}

function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function times(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (part) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))].toFixed(1);
  return `${at(0.5)} / ${at(0.99)}`;
}

function print(what, value) {
  console.log(`  ${what.padEnd(66)} ${value}`);
}
