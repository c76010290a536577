/** Calls of several, as people join them, and proof that everybody sees everybody. */
import { type Page, expect } from "@playwright/test";
import type { Visitor } from "./visitor.ts";

/** Joins the call of the room that is open, or starts it. */
export async function joinGroupCall(who: Visitor, isFirst = false): Promise<void> {
  const button = isFirst
    ? who.page.getByRole("button", { name: "Start a call in this room" })
    : who.page.getByLabel("Call in this room", { exact: true }).getByRole("button", { name: "Join" });
  await button.click();
  await who.calls.preview.getByRole("button", { name: "Join the call" }).click();
  await expect(who.calls.stage).toBeVisible();
}

/** How many pictures were decoded of each stream that comes, by stream. */
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

/** So many streams come in all, and each goes on. */
export async function expectVideoStreams(visitors: Visitor[], streamCount: number): Promise<void> {
  await Promise.all(
    visitors.map(async ({ name, page }) => {
      await expect
        .poll(async () => Object.keys(await framesDecodedByStream(page)).length, {
          message: `${name} sees all`,
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
          { message: `${name} sees all of them move`, timeout: 60_000 },
        )
        .toBe(streamCount);
    }),
  );
}
