/**
 * What runs in every page before its own scripts: it writes down the page's live connections and layout shifts, so that tests
 * can wait for what happens instead of sleeping, and changes nothing about them.
 */

/** What is written down in a page. */
export interface Observed {
  sources: EventSource[];
  sockets: WebSocket[];
  /** How many connections the server has welcomed. */
  welcomes: number;
  peers: RTCPeerConnection[];
  channels: RTCDataChannel[];
  /** Every track the page got from a device, and every copy it made of one. */
  tracks: MediaStreamTrack[];
  /** The sum of layout shifts that no input explains (Layout Instability API). */
  shifted: number;
}

declare global {
  interface Window {
    observed: Observed;
  }
}

/** Runs in the page, so it can use nothing from outside of itself. */
export function observe(): void {
  const observed: Observed = {
    sources: [],
    sockets: [],
    welcomes: 0,
    peers: [],
    channels: [],
    tracks: [],
    shifted: 0,
  };
  window.observed = observed;

  window.EventSource = class extends EventSource {
    constructor(url: string | URL, options?: EventSourceInit) {
      super(url, options);
      observed.sources.push(this);
    }
  };
  window.WebSocket = class extends WebSocket {
    constructor(url: string | URL, protocols?: string | string[]) {
      super(url, protocols);
      observed.sockets.push(this);
      this.addEventListener("message", ({ data }: MessageEvent<unknown>) => {
        if (typeof data === "string" && data.startsWith('{"type":"welcome"')) observed.welcomes += 1;
      });
    }
  };
  window.RTCPeerConnection = class extends RTCPeerConnection {
    constructor(configuration?: RTCConfiguration) {
      super(configuration);
      observed.peers.push(this);
    }

    override createDataChannel(label: string, options?: RTCDataChannelInit) {
      const channel = super.createDataChannel(label, options);
      observed.channels.push(channel);
      return channel;
    }
  };
  // Not there on pages that are not from localhost or https, whatever the types say.
  const devices = navigator.mediaDevices as MediaDevices | undefined;
  if (devices !== undefined) {
    const ask = devices.getUserMedia.bind(devices);
    devices.getUserMedia = async (constraints) => {
      const stream = await ask(constraints);
      observed.tracks.push(...stream.getTracks());
      return stream;
    };
    const { clone } = Object.getOwnPropertyDescriptors(MediaStreamTrack.prototype);
    MediaStreamTrack.prototype.clone = function (this: MediaStreamTrack) {
      const copy = clone.value?.call(this) as MediaStreamTrack;
      observed.tracks.push(copy);
      return copy;
    };
  }
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries() as (PerformanceEntry & { value: number; hadRecentInput: boolean })[]) {
      if (!entry.hadRecentInput) observed.shifted += entry.value;
    }
  }).observe({ type: "layout-shift", buffered: true });
}
