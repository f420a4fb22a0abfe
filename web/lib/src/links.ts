// WebRTC connections, one to a link, each with one data channel.

const CHANNEL = 'symbolon';

export interface LinkInputs {
  description(link: number, sdp: string): void;
  candidate(link: number, json: string): void;
  opened(link: number): void;
  part(link: number, bytes: Uint8Array): void;
  sent(link: number, bytes: number): void;
  closed(link: number, reason: string): void;
}

export class Links {
  #inputs: LinkInputs;
  #connections = new Map<number, Connection>();

  constructor(inputs: LinkInputs) {
    this.#inputs = inputs;
  }

  offer(link: number, iceServers: RTCIceServer[]): void {
    this.#connect(link, iceServers)?.offer();
  }

  answer(link: number, offer: string, iceServers: RTCIceServer[]): void {
    this.#connect(link, iceServers)?.answer(offer);
  }

  acceptAnswer(link: number, answer: string): void {
    this.#connections.get(link)?.acceptAnswer(answer);
  }

  addCandidate(link: number, candidate: string): void {
    this.#connections.get(link)?.addCandidate(candidate);
  }

  send(link: number, part: Uint8Array): void {
    this.#connections.get(link)?.send(part);
  }

  close(link: number): void {
    this.#connections.get(link)?.close();
    this.#connections.delete(link);
  }

  closeAll(): void {
    for (const link of [...this.#connections.keys()]) this.close(link);
  }

  #connect(link: number, iceServers: RTCIceServer[]): Connection | undefined {
    try {
      const ended = () => this.#connections.delete(link);
      const connection = new Connection(link, iceServers, this.#inputs, ended);
      this.#connections.set(link, connection);
      return connection;
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      queueMicrotask(() => this.#inputs.closed(link, reason));
      return undefined;
    }
  }
}

class Connection {
  #link: number;
  #inputs: LinkInputs;
  #ended: () => void;
  #peer: RTCPeerConnection;
  #channel: RTCDataChannel | undefined;
  /** Descriptions and candidates are taken one after the other. */
  #steps: Promise<void> = Promise.resolve();
  /** Candidates found before the description was handed over; then undefined. */
  #early: string[] | undefined = [];
  #open = false;
  #closed = false;
  /** Bytes given to the channel that were not yet reported as sent. */
  #unreported = 0;

  constructor(link: number, iceServers: RTCIceServer[], inputs: LinkInputs, ended: () => void) {
    this.#link = link;
    this.#inputs = inputs;
    this.#ended = ended;
    this.#peer = connection(iceServers);
    this.#peer.onicecandidate = ({ candidate }) => {
      if (!candidate?.candidate || this.#closed) return;
      const json = JSON.stringify(candidate.toJSON());
      if (this.#early === undefined) this.#inputs.candidate(link, json);
      else this.#early.push(json);
    };
    this.#peer.onconnectionstatechange = () => {
      const state = this.#peer.connectionState;
      if (state === 'failed' || state === 'closed') this.#fail(`the connection ${state}`);
    };
    this.#peer.ondatachannel = ({ channel }) => {
      if (this.#channel === undefined && channel.label === CHANNEL) this.#use(channel);
      else channel.close();
    };
  }

  offer(): void {
    this.#use(this.#peer.createDataChannel(CHANNEL, { ordered: true }));
    this.#step(() => this.#describe());
  }

  answer(offer: string): void {
    this.#step(async () => {
      await this.#peer.setRemoteDescription({ type: 'offer', sdp: offer });
      await this.#describe();
    });
  }

  acceptAnswer(sdp: string): void {
    this.#step(() => this.#peer.setRemoteDescription({ type: 'answer', sdp }));
  }

  addCandidate(json: string): void {
    this.#step(async () => {
      try {
        await this.#peer.addIceCandidate(JSON.parse(json) as RTCIceCandidateInit);
      } catch {
        // One that cannot be read leaves the others.
      }
    });
  }

  send(part: Uint8Array): void {
    const channel = this.#channel;
    if (channel?.readyState !== 'open') return;
    try {
      channel.send(part as Uint8Array<ArrayBuffer>);
    } catch (error) {
      this.#fail(error instanceof Error ? error.message : String(error));
      return;
    }
    this.#unreported += part.length;
    // Some browsers take the bytes at once; then there is no event to come.
    if (channel.bufferedAmount < this.#unreported) queueMicrotask(() => this.#report(channel));
    else this.#watch(channel);
  }

  close(): void {
    this.#closed = true;
    this.#channel?.close();
    this.#peer.close();
  }

  /** Makes the own description and hands it over at once; candidates follow as they are found. */
  async #describe(): Promise<void> {
    await this.#peer.setLocalDescription();
    const sdp = this.#peer.localDescription?.sdp;
    if (sdp === undefined || this.#closed) return;
    this.#inputs.description(this.#link, sdp);
    const early = this.#early ?? [];
    this.#early = undefined;
    // What is in the description already is not said twice.
    const missing = early.filter((json) => !sdp.includes((JSON.parse(json) as { candidate: string }).candidate));
    for (const json of missing) this.#inputs.candidate(this.#link, json);
  }

  #use(channel: RTCDataChannel): void {
    this.#channel = channel;
    channel.binaryType = 'arraybuffer';
    const opened = () => {
      if (this.#open || this.#closed) return;
      this.#open = true;
      this.#inputs.opened(this.#link);
    };
    channel.onopen = opened;
    channel.onmessage = ({ data }) => {
      if (this.#closed) return;
      opened();
      if (data instanceof ArrayBuffer) this.#inputs.part(this.#link, new Uint8Array(data));
      else this.#fail('a message that is not binary');
    };
    channel.onbufferedamountlow = () => this.#report(channel);
    channel.onclose = () => this.#fail('the other side closed the channel');
    if (channel.readyState === 'open') opened();
  }

  /** Says what has left the channel's buffer since the last time. */
  #report(channel: RTCDataChannel): void {
    if (this.#closed) return;
    const left = this.#unreported - channel.bufferedAmount;
    this.#unreported -= left;
    this.#watch(channel);
    if (left > 0) this.#inputs.sent(this.#link, left);
  }

  /** Wakes when half of what is buffered has left: soon enough to keep the channel busy, not for each packet. */
  #watch(channel: RTCDataChannel): void {
    channel.bufferedAmountLowThreshold = channel.bufferedAmount >> 1;
  }

  #step(step: () => Promise<void>): void {
    this.#steps = this.#steps.then(async () => {
      if (this.#closed) return;
      try {
        await step();
      } catch (error) {
        this.#fail(error instanceof Error ? error.message : String(error));
      }
    });
  }

  #fail(reason: string): void {
    if (this.#closed) return;
    this.close();
    this.#ended();
    this.#inputs.closed(this.#link, reason);
  }
}

/** Without the servers if the browser does not take them: a direct way may be there all the same. */
function connection(iceServers: RTCIceServer[]): RTCPeerConnection {
  try {
    return new RTCPeerConnection({ iceServers });
  } catch {
    return new RTCPeerConnection();
  }
}
