/** A fake screen to share, and a check that its video moves. */
import { type Locator, type Page, expect } from "@playwright/test";

/** Makes the page share a changing canvas as its screen, because a headless browser has none. */
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

/** New frames of a video element keep arriving. */
export async function expectMovingVideo(video: Locator): Promise<void> {
  const before = await totalVideoFrames(video);
  await expect.poll(() => totalVideoFrames(video), { timeout: 20_000 }).toBeGreaterThan(before + 5);
}
