/**
 * A call without Rialto, as the baseline: two plain peer connections that restart ICE when the connection is lost. Signals
 * pass through the test instead of the network, so the time measured is the browser's alone.
 */
import { type Page, expect } from "@playwright/test";

declare global {
  interface Window {
    baseline_: { receiveSignal: (text: string) => Promise<void>; lastFrameAt: number };
    sendBaselineSignal_: (text: string) => Promise<void>;
  }
}

/** Starts a baseline call between two pages, with the ICE servers of their Rialto call. */
export async function startBaselineCall(caller: Page, callee: Page): Promise<void> {
  const sendTo = (page: Page) => async (text: string) => {
    try {
      await page.evaluate((text) => window.baseline_.receiveSignal(text), text);
    } catch (error) {
      // The other page may be closed while a signal is sent.
      if (!page.isClosed()) throw error;
    }
  };
  await caller.exposeFunction("sendBaselineSignal_", sendTo(callee));
  await callee.exposeFunction("sendBaselineSignal_", sendTo(caller));
  await callee.evaluate(startBaselinePeer, false);
  await caller.evaluate(startBaselinePeer, true);
  await expect
    .poll(() => msSinceBaselineFrame(callee), { message: "the baseline call shows video", timeout: 20_000 })
    .toBeLessThan(500);
}

export async function msSinceBaselineFrame(page: Page): Promise<number> {
  return page.evaluate(() => performance.now() - window.baseline_.lastFrameAt);
}

/** Runs in the page, so it must not refer to anything outside itself. */
function startBaselinePeer(isCaller: boolean): void {
  const configuration = window.instrumentation.peerConnections
    .find((peer) => peer.connectionState === "connected")
    ?.getConfiguration();
  const peer = new RTCPeerConnection(configuration);
  const sendSignal = (signal: object) => void window.sendBaselineSignal_(JSON.stringify(signal));
  const offer = async () => {
    await peer.setLocalDescription(await peer.createOffer({ iceRestart: true }));
    sendSignal({ description: peer.localDescription });
  };
  peer.onicecandidate = ({ candidate }) => {
    sendSignal({ candidate });
  };
  peer.onconnectionstatechange = () => {
    const state = peer.connectionState;
    if (!isCaller || (state !== "disconnected" && state !== "failed")) return;
    // A disconnected peer may recover by itself.
    setTimeout(
      () => {
        // A pending offer will be answered, because signals are never lost.
        if (peer.connectionState === state && peer.signalingState === "stable") void offer();
      },
      state === "failed" ? 0 : 1_000,
    );
  };
  window.baseline_ = {
    lastFrameAt: -Infinity,
    receiveSignal: async (text) => {
      const { description, candidate } = JSON.parse(text) as {
        description?: RTCSessionDescriptionInit;
        candidate?: RTCIceCandidateInit | null;
      };
      if (description !== undefined) {
        await peer.setRemoteDescription(description);
        if (description.type === "offer") {
          await peer.setLocalDescription(await peer.createAnswer());
          sendSignal({ description: peer.localDescription });
        }
      } else if (candidate) await peer.addIceCandidate(candidate).catch(() => undefined);
    },
  };
  if (isCaller) {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [160, 120];
    const context2d = canvas.getContext("2d");
    let hue = 0;
    setInterval(() => {
      if (context2d === null) return;
      hue = (hue + 30) % 360;
      context2d.fillStyle = `hsl(${hue} 80% 50%)`;
      context2d.fillRect(0, 0, canvas.width, canvas.height);
    }, 100);
    for (const track of canvas.captureStream(10).getTracks()) peer.addTrack(track);
    void offer();
  } else {
    peer.ontrack = ({ track }) => {
      const video = document.createElement("video");
      video.muted = true;
      video.srcObject = new MediaStream([track]);
      const onFrame = () => {
        window.baseline_.lastFrameAt = performance.now();
        video.requestVideoFrameCallback(onFrame);
      };
      video.requestVideoFrameCallback(onFrame);
      void video.play();
    };
  }
}
