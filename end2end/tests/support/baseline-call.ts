/**
 * A call without Rialto: two bare peer connections that restart ICE when they lose each other, as the simplest page would. What they
 * say to each other goes through this test and not through the network, so it is never late: what is left is what the browser needs.
 */
import { type Page, expect } from "@playwright/test";

declare global {
  interface Window {
    baseline_: { receiveSignal: (text: string) => Promise<void>; lastFrameAt: number };
    sendBaselineSignal_: (text: string) => Promise<void>;
  }
}

/** Begins a bare call from one page to the other, with the servers that a call of Rialto's was given. */
export async function startBaselineCall(caller: Page, callee: Page): Promise<void> {
  const sayTo = (page: Page) => async (text: string) => {
    try {
      await page.evaluate((text) => window.baseline_.receiveSignal(text), text);
    } catch (error) {
      // The other page may be closed while something is said to it.
      if (!page.isClosed()) throw error;
    }
  };
  await caller.exposeFunction("plainSay_", sayTo(callee));
  await callee.exposeFunction("plainSay_", sayTo(caller));
  await callee.evaluate(startBaselinePeer, false);
  await caller.evaluate(startBaselinePeer, true);
  await expect
    .poll(() => msSinceBaselineFrame(callee), { message: "the bare call shows pictures", timeout: 20_000 })
    .toBeLessThan(500);
}

/** How long ago the last picture of the bare call came, in milliseconds. */
export async function msSinceBaselineFrame(page: Page): Promise<number> {
  return page.evaluate(() => performance.now() - window.baseline_.lastFrameAt);
}

/** Runs in a page, so it can use nothing from outside of itself. */
function startBaselinePeer(isCaller: boolean): void {
  const given = window.instrumentation.peerConnections
    .find((peer) => peer.connectionState === "connected")
    ?.getConfiguration();
  const peer = new RTCPeerConnection(given);
  const sendSignal = (what: object) => void window.sendBaselineSignal_(JSON.stringify(what));
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
    // Whoever is disconnected may be back in a moment by themselves.
    setTimeout(
      () => {
        // An offer that is on its way is answered: what is said is never lost.
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
