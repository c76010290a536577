/**
 * Runs in every page before its own scripts. It records connections, tracks and layout shifts, so that tests can wait for
 * events instead of sleeping.
 */

/** Records of one page. */
export interface PageInstrumentation {
  eventSources: EventSource[];
  webSockets: WebSocket[];
  /** The number of `welcome` frames received. */
  welcomeCount: number;
  peerConnections: RTCPeerConnection[];
  dataChannels: RTCDataChannel[];
  /** All tracks from `getUserMedia`, and all clones of tracks. */
  localTracks: MediaStreamTrack[];
  /** The sum of layout shifts without recent input (Layout Instability API). */
  layoutShiftSum: number;
}

declare global {
  interface Window {
    instrumentation: PageInstrumentation;
  }
}

/** Runs in the page, so it must not refer to anything outside itself. */
export function instrumentPage(): void {
  const instrumentation: PageInstrumentation = {
    eventSources: [],
    webSockets: [],
    welcomeCount: 0,
    peerConnections: [],
    dataChannels: [],
    localTracks: [],
    layoutShiftSum: 0,
  };
  window.instrumentation = instrumentation;

  window.EventSource = class extends EventSource {
    constructor(url: string | URL, options?: EventSourceInit) {
      super(url, options);
      instrumentation.eventSources.push(this);
    }
  };
  window.WebSocket = class extends WebSocket {
    constructor(url: string | URL, protocols?: string | string[]) {
      super(url, protocols);
      instrumentation.webSockets.push(this);
      this.addEventListener("message", ({ data }: MessageEvent<unknown>) => {
        if (typeof data === "string" && data.startsWith('{"type":"welcome"')) instrumentation.welcomeCount += 1;
      });
    }
  };
  window.RTCPeerConnection = class extends RTCPeerConnection {
    constructor(configuration?: RTCConfiguration) {
      super(configuration);
      instrumentation.peerConnections.push(this);
    }

    override createDataChannel(label: string, options?: RTCDataChannelInit) {
      const channel = super.createDataChannel(label, options);
      instrumentation.dataChannels.push(channel);
      return channel;
    }
  };
  // Undefined in insecure contexts, in spite of its type.
  const devices = navigator.mediaDevices as MediaDevices | undefined;
  if (devices !== undefined) {
    const originalGetUserMedia = devices.getUserMedia.bind(devices);
    devices.getUserMedia = async (constraints) => {
      const stream = await originalGetUserMedia(constraints);
      instrumentation.localTracks.push(...stream.getTracks());
      return stream;
    };
    const { clone } = Object.getOwnPropertyDescriptors(MediaStreamTrack.prototype);
    MediaStreamTrack.prototype.clone = function (this: MediaStreamTrack) {
      const copy = clone.value?.call(this) as MediaStreamTrack;
      instrumentation.localTracks.push(copy);
      return copy;
    };
  }
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries() as (PerformanceEntry & { value: number; hadRecentInput: boolean })[]) {
      if (!entry.hadRecentInput) instrumentation.layoutShiftSum += entry.value;
    }
  }).observe({ type: "layout-shift", buffered: true });
}
