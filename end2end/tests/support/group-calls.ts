/** Joins group calls, and checks that all video streams arrive. */
import { type Page, expect } from "@playwright/test";
import type { Visitor } from "./visitor.ts";

/** Joins the call of the open room, or starts it. */
export async function joinGroupCall(visitor: Visitor, isFirst = false): Promise<void> {
  const button = isFirst
    ? visitor.page.getByRole("button", { name: "Start a call in this room" })
    : visitor.page.getByLabel("Call in this room", { exact: true }).getByRole("button", { name: "Join" });
  await button.click();
  await visitor.calls.preview.getByRole("button", { name: "Join the call" }).click();
  await expect(visitor.calls.stage).toBeVisible();
}

async function framesDecodedByStream(page: Page): Promise<Record<string, number>> {
  return page.evaluate(async () => {
    const frames: Record<string, number> = {};
    const peers = window.instrumentation.peerConnections.filter((peer) => peer.connectionState === "connected");
    for (const [at, peer] of peers.entries()) {
      for (const entry of (await peer.getStats()).values() as Iterable<RTCInboundRtpStreamStats>) {
        if (entry.type !== "inbound-rtp" || entry.kind !== "video" || !entry.framesDecoded) continue;
        frames[`${at}:${entry.ssrc}`] = entry.framesDecoded;
      }
    }
    return frames;
  });
}

/** Each visitor receives exactly `streamCount` video streams, and frames of all of them keep arriving. */
export async function expectVideoStreams(visitors: Visitor[], streamCount: number): Promise<void> {
  await Promise.all(
    visitors.map(async ({ name, page }) => {
      await expect
        .poll(async () => Object.keys(await framesDecodedByStream(page)).length, {
          message: `${name} receives all video streams`,
          timeout: 60_000,
        })
        .toBe(streamCount);
      const before = await framesDecodedByStream(page);
      await expect
        .poll(
          async () => {
            const now = await framesDecodedByStream(page);
            return Object.keys(before).filter((stream) => (now[stream] ?? 0) > (before[stream] ?? 0) + 3).length;
          },
          { message: `${name} receives new frames of all streams`, timeout: 60_000 },
        )
        .toBe(streamCount);
    }),
  );
}
