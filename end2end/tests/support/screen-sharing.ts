/** A screen to share, and whether what somebody shows goes on. */
import { type Locator, type Page, expect } from "@playwright/test";

/** From now on the page's screen is a canvas that changes: a browser without a window has none to share. */
export async function fakeDisplayMedia(page: Page): Promise<void> {
  await page.evaluate(() => {
    navigator.mediaDevices.getDisplayMedia = () => {
      const canvas = document.createElement("canvas");
      [canvas.width, canvas.height] = [640, 360];
      const context2d = canvas.getContext("2d");
      let hue = 0;
      setInterval(() => {
        if (context2d === null) return;
        hue = (hue + 40) % 360;
        context2d.fillStyle = `hsl(${hue} 80% 50%)`;
        context2d.fillRect(0, 0, canvas.width, canvas.height);
      }, 100);
      const stream = canvas.captureStream(10);
      window.instrumentation.localTracks.push(...stream.getTracks());
      return Promise.resolve(stream);
    };
  });
}

async function totalVideoFrames(video: Locator): Promise<number> {
  return video.evaluate((video: HTMLVideoElement) => video.getVideoPlaybackQuality().totalVideoFrames);
}

/** Pictures come, and go on coming. */
export async function expectMovingVideo(video: Locator): Promise<void> {
  const before = await totalVideoFrames(video);
  await expect.poll(() => totalVideoFrames(video), { timeout: 20_000 }).toBeGreaterThan(before + 5);
}
