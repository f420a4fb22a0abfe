// Drives the core: carries bytes between it and sockets, WebRTC, the store and the open documents. Decides nothing.
//
//   tabs ─────┐                    ┌─ apply, collect → documents        (at once in this tab)
//   sockets  ─┼─► Core ─► outputs ─┼─ persist, forget → store, one commit   (before all that follows)
//   WebRTC   ─┤                    ├─ sends → sockets, WebRTC; what other tabs hear
//   one timer ┘                    └─ events, answers → tabs
//
// What arrives while a commit is under way goes with the next one. Only documents of this tab see a change before it
// is stored: they end with this driver, and those of other tabs do not.

import { Core, type Output } from './core.js';
import { Desk } from './desk.js';
import { SymbolonError } from './errors.js';
import { Links } from './links.js';
import type { ToHost, ToTab } from './messages.js';
import { Sockets } from './sockets.js';
import type { Profile, Store, Write } from './store.js';

/** A timer later than this fires at once in browsers. */
const LONGEST_TIMER = 2 ** 31 - 1;

interface Answer {
  done(): void;
  failed(error: SymbolonError): void;
}

export class Host {
  #core: Core;
  #store: Store;
  #sockets: Sockets;
  #links: Links;
  #desk: Desk;
  /** Answers to be given once all outputs so far are carried out. */
  #answers: Answer[] = [];
  /** Said once everything so far is stored. */
  #later: (() => void)[] = [];
  #due = false;
  #busy = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #stopped = false;
  /** Why the store can no longer be written. */
  #broken: SymbolonError | undefined;

  /** Throws if what is stored does not fit together. `core`: a new one of this profile. */
  constructor(
    core: Core,
    profile: Profile,
    entries: [Uint8Array, Uint8Array][],
    store: Store,
    deliver: (tab: string, message: ToTab) => void,
    local: string,
  ) {
    this.#core = core;
    this.#core.tell_time(performance.now(), Date.now());
    this.#core.restore(entries);
    this.#store = store;
    this.#sockets = new Sockets({
      opened: (origin) => this.#input((core) => core.server_opened(origin)),
      text: (origin, text) => this.#input((core) => core.server_text(origin, text)),
      closed: (origin, reason) => this.#input((core) => core.server_closed(origin, reason)),
    });
    this.#links = new Links({
      description: (link, sdp) => this.#input((core) => core.description(link, sdp)),
      candidate: (link, json) => this.#input((core) => core.candidate(link, json)),
      opened: (link) => this.#input((core) => core.opened(link)),
      part: (link, bytes) => this.#input((core) => core.part(link, bytes)),
      sent: (link, bytes) => this.#input((core) => core.sent(link, bytes)),
      closed: (link, reason) => this.#input((core) => core.closed(link, reason)),
    });
    this.#desk = new Desk({
      core: this.#core,
      profile,
      local,
      deliver,
      input: (act) => this.#input(act),
      inputNow: (act) => this.#inputNow(act),
      later: (act) => this.#later.push(act),
      answer: (done, failed) => this.#answers.push({ done, failed }),
    });
  }

  static core({ seed, user, device }: Profile): Core {
    const rng = crypto.getRandomValues(new Uint8Array(32));
    return new Core(seed, rng, user, device, performance.now(), Date.now());
  }

  /** Begins to connect, and tells all tabs that there is a host. `others`: those that had one before. */
  begin(others: string[]): void {
    this.#input((core) => core.start());
    this.#desk.begin(others);
  }

  /** Something a tab says. */
  receive(tab: string, message: ToHost): void {
    if (this.#stopped) return;
    if (this.#broken !== undefined) {
      this.#desk.refuse(tab, message, this.#broken);
      return;
    }
    if (message.type === 'tick') this.#tick();
    else this.#desk.receive(tab, message);
  }

  /** A tab ended, with all it had open. */
  tabGone(tab: string): void {
    if (!this.#stopped && this.#broken === undefined) this.#desk.tabGone(tab);
  }

  /** The store was taken away. */
  lostStore(): void {
    this.#fail(new SymbolonError('store', 'the browser closed the database'));
  }

  /**
   * Stores what documents handed over and closes everything, all but the commit at once: a page that is being left has
   * no second chance. What was not sent reaches the others from the next host.
   */
  async stop(): Promise<void> {
    if (this.#stopped) return;
    if (this.#broken === undefined) this.#desk.collectAll();
    const stored = this.#carryOut(true);
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#sockets.closeAll();
    this.#links.closeAll();
    this.#store.close();
    await stored;
  }

  #input(act: (core: Core) => void): void {
    if (this.#stopped || this.#broken !== undefined) return;
    this.#core.tell_time(performance.now(), Date.now());
    try {
      act(this.#core);
    } finally {
      this.#wake();
    }
  }

  /** The same with a turn at once: the change is being stored while the editor is still busy with it. */
  #inputNow(act: (core: Core) => void): void {
    const idle = !this.#due && !this.#busy;
    this.#input(act);
    if (idle && this.#due) void this.#turn();
  }

  /** A turn, once all that happens in this task has happened. */
  #wake(): void {
    if (this.#due) return;
    this.#due = true;
    queueMicrotask(() => {
      this.#due = false;
      if (!this.#busy) void this.#turn();
    });
  }

  async #turn(): Promise<void> {
    this.#busy = true;
    try {
      while (!this.#stopped && (await this.#carryOut()));
    } finally {
      this.#busy = false;
    }
    this.#arm();
  }

  /** Carries out what there is by now; says whether there was anything. */
  async #carryOut(stopping = false): Promise<boolean> {
    const writes: Write[] = [];
    const sends: Output[] = [];
    if (this.#broken === undefined) this.#drain(writes, sends);
    const answers = this.#answers.splice(0);
    const later = this.#later.splice(0);
    if (writes.length === 0 && sends.length === 0 && later.length === 0 && answers.length === 0) return false;
    if (writes.length > 0) {
      try {
        await this.#store.commit(writes);
      } catch (error) {
        this.#fail(new SymbolonError('store', SymbolonError.from(error).message));
      }
    } else if (!stopping) {
      // Nothing is told to whoever is still handing something over.
      await undefined;
    }
    if (this.#broken !== undefined || this.#stopped) {
      // What is not stored is told to nobody.
      const why = this.#broken ?? new SymbolonError('closed', 'this peer is closed');
      for (const answer of answers) answer.failed(why);
      return false;
    }
    for (const output of sends) this.#send(output);
    for (const say of later) say();
    for (const answer of answers) answer.done();
    this.#desk.showChanges();
    return true;
  }

  /** Outputs until there are none: documents are served at once, the rest is put aside. */
  #drain(writes: Write[], sends: Output[]): void {
    for (let outputs = this.#core.outputs(); outputs.length > 0; outputs = this.#core.outputs()) {
      for (const output of outputs) {
        switch (output.type) {
          case 'persist':
            writes.push({ key: output.key, value: output.value });
            break;
          case 'forget':
            writes.push({ prefix: output.prefix });
            break;
          case 'apply':
            this.#desk.apply(output.room, output.update);
            break;
          case 'collect':
            this.#desk.collect(output.room);
            break;
          default:
            sends.push(output);
        }
      }
      this.#desk.flushApplies();
    }
  }

  #send(output: Output): void {
    switch (output.type) {
      case 'dial':
        return this.#sockets.dial(output.origin);
      case 'send_server':
        return this.#sockets.send(output.origin, output.text);
      case 'hang_up':
        return this.#sockets.hangUp(output.origin);
      case 'make_offer':
        return this.#links.offer(output.link, output.ice_servers);
      case 'make_answer':
        return this.#links.answer(output.link, output.offer, output.ice_servers);
      case 'accept_answer':
        return this.#links.acceptAnswer(output.link, output.answer);
      case 'add_candidate':
        return this.#links.addCandidate(output.link, output.candidate);
      case 'send':
        return this.#links.send(output.link, output.part);
      case 'close':
        return this.#links.close(output.link);
      case 'writer':
        return this.#desk.move(output.room, output.was, output.incarnation, output.client);
      case 'presence':
        return this.#desk.presence(output);
      case 'event':
        return this.#desk.event(output.event);
    }
  }

  #arm(): void {
    clearTimeout(this.#timer);
    if (this.#stopped || this.#broken !== undefined) return;
    const at = this.#core.timeout();
    if (at === undefined) return;
    const after = Math.min(Math.max(Math.ceil(at - performance.now()), 0), LONGEST_TIMER);
    this.#timer = setTimeout(() => this.#tick(), after);
    // A page nobody sees has its timers slowed down to one a second or a minute.
    if (document.hidden && after < 1000) this.#desk.askForWake(after);
  }

  #tick(): void {
    const at = this.#core.timeout();
    if (at !== undefined && at <= performance.now()) this.#input((core) => core.handle_timeout());
    else this.#arm();
  }

  /** The store cannot be written: from here on this peer is silent, and says why to whoever asks. */
  #fail(why: SymbolonError): void {
    if (this.#stopped || this.#broken !== undefined) return;
    this.#broken = why;
    clearTimeout(this.#timer);
    this.#sockets.closeAll();
    this.#links.closeAll();
    this.#desk.broken(why);
  }
}
