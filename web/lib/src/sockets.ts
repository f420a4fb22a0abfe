// WebSockets to rendezvous servers, one to an origin (docs/PROTOCOL.md §5.0).

export interface SocketInputs {
  opened(origin: string): void;
  text(origin: string, text: string): void;
  closed(origin: string, reason: string): void;
}

export class Sockets {
  #inputs: SocketInputs;
  #open = new Map<string, WebSocket>();

  constructor(inputs: SocketInputs) {
    this.#inputs = inputs;
  }

  /** Opens one, in the place of an earlier one. */
  dial(origin: string): void {
    this.hangUp(origin);
    let socket: WebSocket;
    try {
      socket = new WebSocket(`${origin}/ws`);
    } catch (error) {
      // Such as ws: from a page that came by https:.
      const reason = error instanceof Error ? error.message : String(error);
      queueMicrotask(() => this.#inputs.closed(origin, reason));
      return;
    }
    this.#open.set(origin, socket);
    const current = () => this.#open.get(origin) === socket;
    socket.onopen = () => {
      if (current()) this.#inputs.opened(origin);
    };
    socket.onmessage = ({ data }) => {
      if (current() && typeof data === 'string') this.#inputs.text(origin, data);
    };
    socket.onclose = ({ code, reason }) => {
      if (!current()) return;
      this.#open.delete(origin);
      this.#inputs.closed(origin, reason || (code === 1006 ? 'no connection' : `closed with code ${code}`));
    };
  }

  send(origin: string, text: string): void {
    const socket = this.#open.get(origin);
    if (socket?.readyState === WebSocket.OPEN) socket.send(text);
  }

  hangUp(origin: string): void {
    const socket = this.#open.get(origin);
    this.#open.delete(origin);
    socket?.close();
  }

  closeAll(): void {
    for (const origin of [...this.#open.keys()]) this.hangUp(origin);
  }
}
