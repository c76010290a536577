/** Page object of calls, with checks that audio and video arrive. */
import { type Locator, type Page, expect } from "@playwright/test";

/** Maximum time from the answer to the first video frame. */
const CONNECT_TIMEOUT_MS = 20_000;

declare global {
  interface Window {
    /** Arrival of video frames, in milliseconds of `performance.now()`. */
    frameTiming_: { lastFrameAt: number; longestGapMs: number };
  }
}

export class CallsUi {
  readonly dock: Locator;
  readonly preview: Locator;
  readonly incoming: Locator;
  /** An incoming call during a call. */
  readonly callWaiting: Locator;
  readonly stage: Locator;
  readonly state: Locator;
  readonly endedCard: Locator;
  /** The remote video, or the reason why there is none. */
  readonly remoteView: Locator;
  /** Its label names the action: "Mute" or "Unmute". */
  readonly microphoneButton: Locator;
  /** Its label names the action: "Stop camera" or "Start camera". */
  readonly cameraButton: Locator;

  constructor(private readonly page: Page) {
    this.dock = page.locator(".call-dock");
    this.preview = this.dock.getByRole("dialog");
    this.incoming = this.dock.getByRole("alertdialog");
    this.callWaiting = this.dock.locator(".call-waiting");
    this.stage = this.dock.locator(".call-stage");
    this.state = this.stage.locator(".call-state");
    this.endedCard = this.dock.locator(".call-ended");
    this.remoteView = this.stage.locator(".call-theirs");
    this.cameraButton = this.dock.locator(".call-camera");
    this.microphoneButton = this.dock.locator(".call-controls button").first();
  }

  /** Calls somebody in the list of people beside the rooms. */
  async call(name: string, media: "voice" | "video" = "video"): Promise<void> {
    const label = media === "video" ? `Video call ${name}` : `Call ${name}`;
    await this.page.locator(".chat-rooms").getByRole("button", { name: label, exact: true }).click();
    await this.startFromPreview();
  }

  async startFromPreview(): Promise<void> {
    await this.preview.getByRole("button", { name: /^Start (voice|video) call$/ }).click();
    await expect(this.preview).toHaveCount(0);
  }

  async accept(): Promise<void> {
    await this.incoming.getByRole("button", { name: "Accept", exact: true }).click();
  }

  async decline(): Promise<void> {
    await this.incoming.getByRole("button", { name: "Decline" }).click();
  }

  async hangUp(): Promise<void> {
    await this.stage.getByRole("button", { name: "Hang up" }).click();
  }

  async expectConnected(): Promise<void> {
    await expect(this.state).toContainText("Connected", { timeout: CONNECT_TIMEOUT_MS });
  }

  /** The remote video moves and the remote audio is not silent. */
  async expectAudioAndVideo(): Promise<void> {
    await this.expectMovingVideo();
    await this.expectAudio();
  }

  /** Frames are decoded, and the pixels on screen are not all black and change. */
  async expectMovingVideo(): Promise<void> {
    const first = await this.sampleRemoteVideo();
    await expect
      .poll(
        async () => {
          const now = await this.sampleRemoteVideo();
          return {
            frames: now.frames >= first.frames + 10,
            lit: now.litPixelShare > 0.5,
            moved: now.hash !== first.hash,
          };
        },
        { message: "the remote video moves", timeout: CONNECT_TIMEOUT_MS },
      )
      .toEqual({ frames: true, lit: true, moved: true });
  }

  /** The received audio has energy (W3C WebRTC statistics, `totalAudioEnergy`) and is played. */
  async expectAudio(): Promise<void> {
    await this.expectAudiblePlayback();
    const first = await this.receivedAudioStats();
    await expect
      .poll(async () => (await this.receivedAudioStats()).energy - first.energy, {
        message: "the remote audio has energy",
        timeout: CONNECT_TIMEOUT_MS,
      })
      .toBeGreaterThan(0.000_1);
  }

  /** Exactly `remoteCount` media elements play audio: not muted, not blocked by the browser, and advancing. */
  async expectAudiblePlayback(remoteCount = 1): Promise<void> {
    await expect(async () => {
      const players = await this.audioElements();
      const audible = players.filter(
        ({ muted, paused, volume, tracks, moves }) =>
          !muted && !paused && volume === 1 && tracks.includes("live") && moves,
      );
      expect(audible, `audible media elements: ${JSON.stringify(players)}`).toHaveLength(remoteCount);
    }).toPass({ timeout: CONNECT_TIMEOUT_MS });
  }

  /** All media elements with an audio stream. A muted track is "muted", one disabled by the page "off". */
  private async audioElements() {
    return this.page.evaluate(async () => {
      const players = [...document.querySelectorAll<HTMLMediaElement>("audio, video")].flatMap((player) =>
        player.srcObject instanceof MediaStream && player.srcObject.getAudioTracks().length > 0
          ? [{ player, tracks: player.srcObject.getAudioTracks(), from: player.currentTime }]
          : [],
      );
      await new Promise((resolve) => setTimeout(resolve, 300));
      return players.map(({ player: { muted, paused, volume, currentTime }, tracks, from }) => ({
        muted,
        paused,
        volume,
        tracks: tracks.map((track) => (track.muted ? "muted" : track.enabled ? track.readyState : "off")),
        moves: currentTime > from,
      }));
    });
  }

  /** Whether the next half second of received audio is silent. */
  async isReceivingSilence(): Promise<boolean> {
    const from = await this.receivedAudioStats();
    await expect.poll(async () => (await this.receivedAudioStats()).seconds - from.seconds).toBeGreaterThan(0.5);
    return (await this.receivedAudioStats()).energy - from.energy < 0.000_01;
  }

  /** Resolves at the first remote video frame, with its time in milliseconds since 1970. */
  async firstVideoFrameAt(): Promise<number> {
    return this.page.evaluate(
      () =>
        new Promise<number>((done) => {
          const waitForVideo = () => {
            const video = document.querySelector<HTMLVideoElement>(".call-their-video");
            if (video === null) {
              requestAnimationFrame(waitForVideo);
              return;
            }
            video.requestVideoFrameCallback(() => {
              done(Date.now());
            });
          };
          waitForVideo();
        }),
    );
  }

  /** The number of decoded video frames so far, and the share of non-black pixels and a hash of the current frame. */
  async sampleRemoteVideo(): Promise<{ frames: number; litPixelShare: number; hash: number }> {
    return this.page.evaluate(async () => {
      const video = document.querySelector<HTMLVideoElement>(".call-their-video");
      if (video === null || video.videoWidth === 0) return { frames: 0, litPixelShare: 0, hash: 0 };
      let frames = 0;
      for (const peer of window.instrumentation.peerConnections.filter((peer) => peer.connectionState !== "closed")) {
        for (const entry of (await peer.getStats()).values() as Iterable<RTCInboundRtpStreamStats>) {
          if (entry.type === "inbound-rtp" && entry.kind === "video") frames += entry.framesDecoded ?? 0;
        }
      }
      const canvas = document.createElement("canvas");
      canvas.width = 160;
      canvas.height = 120;
      const context2d = canvas.getContext("2d", { willReadFrequently: true });
      if (context2d === null) throw new Error("no canvas");
      context2d.drawImage(video, 0, 0, canvas.width, canvas.height);
      const { data } = context2d.getImageData(0, 0, canvas.width, canvas.height);
      let [lit, hash] = [0, 0];
      for (let at = 0; at < data.length; at += 4) {
        const [red = 0, green = 0, blue = 0] = data.subarray(at, at + 3);
        if (red + green + blue > 48) lit += 1;
        hash = (hash * 31 + red * 7 + green * 3 + blue) | 0;
      }
      return { frames, litPixelShare: (lit * 4) / data.length, hash };
    });
  }

  /** Starts to record arrival times of remote video frames: see `msSinceLastFrame` and `longestFrameGapMs`. */
  async startFrameTiming(): Promise<void> {
    await this.page.evaluate(() => {
      const frames: Window["frameTiming_"] = { lastFrameAt: performance.now(), longestGapMs: 0 };
      window.frameTiming_ = frames;
      let watched: HTMLVideoElement | null = null;
      const onFrame = () => {
        const now = performance.now();
        frames.longestGapMs = Math.max(frames.longestGapMs, now - frames.lastFrameAt);
        frames.lastFrameAt = now;
        watched?.requestVideoFrameCallback(onFrame);
      };
      const followVideoElement = () => {
        const video = document.querySelector<HTMLVideoElement>(".call-their-video");
        if (video !== watched) {
          watched = video;
          video?.requestVideoFrameCallback(onFrame);
        }
        requestAnimationFrame(followVideoElement);
      };
      followVideoElement();
    });
  }

  async videoSendersActive(): Promise<boolean[]> {
    return this.page.evaluate(() => {
      const peer = window.instrumentation.peerConnections.find((peer) => peer.connectionState !== "closed");
      const senders = (peer?.getSenders() ?? []).filter(({ track }) => track?.kind === "video");
      return senders.map((sender) => sender.getParameters().encodings.every(({ active }) => active !== false));
    });
  }

  async msSinceLastFrame(): Promise<number> {
    return this.page.evaluate(() => performance.now() - window.frameTiming_.lastFrameAt);
  }

  /** The longest gap between two video frames since `startFrameTiming`, in milliseconds. */
  async longestFrameGapMs(): Promise<number> {
    return this.page.evaluate(() =>
      Math.max(window.frameTiming_.longestGapMs, performance.now() - window.frameTiming_.lastFrameAt),
    );
  }

  /** Received audio so far: energy, duration in seconds, number of samples, and number of concealed samples. */
  async receivedAudioStats(): Promise<{ energy: number; seconds: number; samples: number; concealed: number }> {
    return this.page.evaluate(async () => {
      const sum = { energy: 0, seconds: 0, samples: 0, concealed: 0 };
      for (const peer of window.instrumentation.peerConnections.filter((peer) => peer.connectionState !== "closed")) {
        for (const entry of (await peer.getStats()).values() as Iterable<RTCInboundRtpStreamStats>) {
          if (entry.type !== "inbound-rtp" || entry.kind !== "audio") continue;
          sum.energy += entry.totalAudioEnergy ?? 0;
          sum.seconds += entry.totalSamplesDuration ?? 0;
          sum.samples += entry.totalSamplesReceived ?? 0;
          sum.concealed += entry.concealedSamples ?? 0;
        }
      }
      return sum;
    });
  }

  async receivedMediaBytes(): Promise<number> {
    return this.page.evaluate(async () => {
      let bytes = 0;
      for (const peer of window.instrumentation.peerConnections.filter((peer) => peer.connectionState !== "closed")) {
        for (const entry of (await peer.getStats()).values() as Iterable<RTCInboundRtpStreamStats>) {
          if (entry.type === "inbound-rtp") bytes += entry.bytesReceived ?? 0;
        }
      }
      return bytes;
    });
  }

  /** Whether this page has its microphone and camera open. */
  async openDevices(): Promise<{ microphone: boolean; camera: boolean }> {
    return this.page.evaluate(() => {
      const live = (kind: string) =>
        window.instrumentation.localTracks.some((track) => track.kind === kind && track.readyState === "live");
      return { microphone: live("audio"), camera: live("video") };
    });
  }
}
