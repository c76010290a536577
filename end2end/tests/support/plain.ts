/**
 * A call without Rialto: two bare peer connections that restart ICE when they lose each other, as the simplest page would. What they
 * say to each other goes through this test and not through the network, so it is never late: what is left is what the browser needs.
 */
import { type Page, expect } from "@playwright/test";

declare global {
  interface Window {
    plain_: { hear: (text: string) => Promise<void>; last: number };
    plainSay_: (text: string) => Promise<void>;
  }
}

/** Begins a bare call from one page to the other, with the servers that a call of Rialto's was given. */
export async function plainCall(caller: Page, callee: Page): Promise<void> {
  const sayTo = (page: Page) => async (text: string) => {
    try {
      await page.evaluate((text) => window.plain_.hear(text), text);
    } catch (error) {
      // The other page may be closed while something is said to it.
      if (!page.isClosed()) throw error;
    }
  };
  await caller.exposeFunction("plainSay_", sayTo(callee));
  await callee.exposeFunction("plainSay_", sayTo(caller));
  await callee.evaluate(begin, false);
  await caller.evaluate(begin, true);
  await expect
    .poll(() => sincePlain(callee), { message: "the bare call shows pictures", timeout: 20_000 })
    .toBeLessThan(500);
}

/** How long ago the last picture of the bare call came, in milliseconds. */
export async function sincePlain(page: Page): Promise<number> {
  return page.evaluate(() => performance.now() - window.plain_.last);
}

/** Runs in a page, so it can use nothing from outside of itself. */
function begin(calls: boolean): void {
  const given = window.observed.peers.find((peer) => peer.connectionState === "connected")?.getConfiguration();
  const peer = new RTCPeerConnection(given);
  const say = (what: object) => void window.plainSay_(JSON.stringify(what));
  const offer = async () => {
    await peer.setLocalDescription(await peer.createOffer({ iceRestart: true }));
    say({ description: peer.localDescription });
  };
  peer.onicecandidate = ({ candidate }) => {
    say({ candidate });
  };
  peer.onconnectionstatechange = () => {
    const state = peer.connectionState;
    if (!calls || (state !== "disconnected" && state !== "failed")) return;
    // Whoever is disconnected may be back in a moment by themselves.
    setTimeout(
      () => {
        // An offer that is on its way is answered: what is said is never lost.
        if (peer.connectionState === state && peer.signalingState === "stable") void offer();
      },
      state === "failed" ? 0 : 1_000,
    );
  };
  window.plain_ = {
    last: -Infinity,
    hear: async (text) => {
      const { description, candidate } = JSON.parse(text) as {
        description?: RTCSessionDescriptionInit;
        candidate?: RTCIceCandidateInit | null;
      };
      if (description !== undefined) {
        await peer.setRemoteDescription(description);
        if (description.type === "offer") {
          await peer.setLocalDescription(await peer.createAnswer());
          say({ description: peer.localDescription });
        }
      } else if (candidate) await peer.addIceCandidate(candidate).catch(() => undefined);
    },
  };
  if (calls) {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [160, 120];
    const pen = canvas.getContext("2d");
    let hue = 0;
    setInterval(() => {
      if (pen === null) return;
      hue = (hue + 30) % 360;
      pen.fillStyle = `hsl(${hue} 80% 50%)`;
      pen.fillRect(0, 0, canvas.width, canvas.height);
    }, 100);
    for (const track of canvas.captureStream(10).getTracks()) peer.addTrack(track);
    void offer();
  } else {
    peer.ontrack = ({ track }) => {
      const video = document.createElement("video");
      video.muted = true;
      video.srcObject = new MediaStream([track]);
      const came = () => {
        window.plain_.last = performance.now();
        video.requestVideoFrameCallback(came);
      };
      video.requestVideoFrameCallback(came);
      void video.play();
    };
  }
}
