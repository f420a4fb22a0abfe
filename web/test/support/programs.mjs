// The real programs: a rendezvous server, and `symbolon` with one agent to a home.
//
// They are taken from $SYMBOLON_BIN_DIR, or else from target/debug (`cargo build -p symbolon-server -p symbolon`).

import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { closeSync, existsSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { DEADLINE, within } from './deadline.mjs';

const BIN = process.env.SYMBOLON_BIN_DIR ?? fileURLToPath(new URL('../../../target/debug', import.meta.url));

function environment(home) {
  const kept = Object.entries(process.env).filter(([name]) => !/^(SYMBOLON_|XDG_)/.test(name));
  return { ...Object.fromEntries(kept), HOME: home };
}

/** A temporary directory; `remove` deletes it. */
export function temporary(name) {
  const path = mkdtempSync(join(tmpdir(), `symbolon-${name}-`));
  return { path, remove: () => rmSync(path, { recursive: true, force: true, maxRetries: 5 }) };
}

/** A rendezvous server on a port of its own. */
export class Server {
  /** `port`: the one of a server before it; `key`: the file of its key, so that it is the same server. */
  static async start({ port = 0, key = 'none', options = [] } = {}) {
    const server = new Server();
    server.home = temporary('server');
    server.key = key;
    const args = ['--listen', `127.0.0.1:${port}`, '--key-file', key, '--no-bans', ...options];
    server.child = spawn(join(BIN, 'symbolon-server'), args, {
      env: environment(server.home.path),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    // A test that is cut off leaves nobody else to end it.
    const orphaned = () => server.child.kill('SIGKILL');
    process.once('exit', orphaned);
    server.child.once('exit', () => process.off('exit', orphaned));
    server.log = [];
    createInterface({ input: server.child.stderr }).on('line', (line) => server.log.push(line));
    const lines = createInterface({ input: server.child.stdout });
    const listening = new Promise((resolve, reject) => {
      server.child.once('error', reject);
      server.child.once('exit', (code) => reject(new Error(`the server ended (${code}): ${server.log.join('\n')}`)));
      lines.on('line', (line) => {
        const port = /^listening on .*:(\d+)$/.exec(line)?.[1];
        if (port !== undefined) resolve(Number(port));
      });
    });
    server.port = await within(listening, 'the server listens');
    server.url = `ws://127.0.0.1:${server.port}`;
    return server;
  }

  /** The hard way, as when the machine loses power. */
  async kill() {
    await ended(this.child, 'SIGKILL');
    this.home.remove();
  }
}

/** A home directory with its agent. */
export class Agent {
  constructor(name) {
    this.name = name;
    this.dir = temporary('home');
    this.home = join(this.dir.path, 'home');
  }

  /** Runs a command; what it printed. Fails if it fails. */
  async run(...args) {
    const { code, out, err } = await this.try(...args);
    if (code !== 0) throw new Error(`symbolon ${args.join(' ')} ended with ${code}: ${out}${err}`);
    return out;
  }

  async json(...args) {
    return JSON.parse(await this.run('--json', ...args));
  }

  async try(...args) {
    const env = { ...environment(this.dir.path), SYMBOLON_USER: this.name, SYMBOLON_DEVICE_NAME: this.name };
    // Into files, which are whole when the command has ended: pipes may be read later than that, and an agent that it
    // started may keep them open.
    const said = ['out', 'err'].map((name) => join(this.dir.path, `${randomUUID()}.${name}`));
    const files = said.map((path) => openSync(path, 'w'));
    const child = spawn(join(BIN, 'symbolon'), ['--home', this.home, ...args], { env, stdio: ['ignore', ...files] });
    files.forEach(closeSync);
    const ended = new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', resolve);
    });
    try {
      const code = await within(ended, `symbolon ${args[0]}`);
      const [out, err] = said.map((path) => readFileSync(path, 'utf8'));
      return { code, out, err };
    } finally {
      if (child.exitCode === null) child.kill('SIGKILL');
    }
  }

  async create(name, server) {
    return (await this.json('create', name, '--server', server.url)).room;
  }

  async invite(room, ...args) {
    return this.json('invite', room, ...args);
  }

  async join(ticket) {
    return (await this.json('join', ticket)).room;
  }

  text(room) {
    return this.run('cat', room);
  }

  /** Waits until the room's text has this in it. */
  untilText(room, part) {
    return this.run('wait', room, '--text-contains', part, '--timeout', `${DEADLINE / 1000}s`);
  }

  /** The strokes of the room's drawing. */
  async strokes(room) {
    return (await this.json('draw', room)).strokes;
  }

  /** Asks again and again until this is so: for what `wait` does not know. */
  async until(what, so, end = Date.now() + DEADLINE) {
    while (!(await so())) if (Date.now() > end) throw new Error(`too late: ${this.name}: ${what}`);
  }

  /** Tells the agent's process what the system tells processes: to end at once, to stand still, to go on. */
  async signal(name) {
    this.pid ??= (await this.json('up')).pid;
    process.kill(this.pid, name);
  }

  async end() {
    if (existsSync(join(this.home, 'lock'))) await this.try('down');
    this.dir.remove();
  }
}

/** Ends a process of ours and waits until it is gone. */
export async function ended(child, signal = 'SIGTERM') {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = new Promise((resolve) => child.once('exit', resolve));
  child.kill(signal);
  await within(exit, 'a process ends');
}

/** Whether the programs are there. */
export function built() {
  return existsSync(BIN) && readdirSync(BIN).includes('symbolon') && readdirSync(BIN).includes('symbolon-server');
}
