/** Calls without a microphone or a camera: said in words, and possible all the same. */
import type { Page } from "@playwright/test";
import { type Visitor, expect, test } from "./support/fixtures.ts";

/** From now on the browser answers the page's questions for these devices with an error of this name. */
async function refuse(visitor: Visitor, name: string, devices: ("audio" | "video")[]): Promise<void> {
  await visitor.context.addInitScript(
    ({ name, devices }) => {
      const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
      navigator.mediaDevices.getUserMedia = (constraints) =>
        devices.some((device) => Boolean(constraints?.[device]))
          ? Promise.reject(new DOMException("not for you", name))
          : ask(constraints);
    },
    { name, devices },
  );
  await visitor.open("/chat/general");
}

/** Grace calls Ada, who accepts; both are connected. */
async function connect(grace: Visitor, ada: Visitor): Promise<void> {
  await grace.calls.start();
  await ada.calls.accept();
  await Promise.all([ada.calls.connected(), grace.calls.connected()]);
}

async function look(grace: Visitor): Promise<void> {
  await grace.page.locator(".chat-rooms").getByRole("button", { name: "Video call Ada" }).click();
}

test("who refuses microphone and camera is told what to do, and hears and sees the other one", async ({ join }) => {
  const ada = await join("Ada");
  const grace = await join("Grace", { permissions: [] });
  await look(grace);
  const { preview } = grace.calls;
  await expect(preview).toContainText("The browser does not let this page use the microphone. Allow it");
  await expect(preview).toContainText("The browser does not let this page use the camera. Allow it");
  await connect(grace, ada);
  await grace.calls.plays();
  await expect(ada.calls.theirs).toContainText("Camera off");
  await expect(ada.calls.theirs).toContainText("Grace is muted");

  // Allowed after all, in the middle of the call.
  await grace.context.grantPermissions(["camera", "microphone"]);
  await grace.calls.camera.click();
  await grace.calls.microphone.click();
  await ada.calls.plays();
  await expect(grace.calls.stage).not.toContainText("does not let this page");
});

for (const [name, says] of [
  ["NotAllowedError", "The browser does not let this page use the camera"],
  ["NotFoundError", "No camera was found"],
  ["NotReadableError", "The camera does not start; another program may be using it"],
] as const) {
  test(`a camera that fails with ${name} is explained, and the call has sound both ways`, async ({ join }) => {
    const [ada, grace] = [await join("Ada"), await join("Grace")];
    await refuse(grace, name, ["video"]);
    await look(grace);
    await expect(grace.calls.preview).toContainText(says);
    await expect(grace.calls.preview).toContainText(/Without it you can/);
    await connect(grace, ada);
    await Promise.all([grace.calls.plays(), ada.calls.sounds()]);
    await expect(ada.calls.theirs).toContainText("Camera off");
    await expect(grace.calls.stage).toContainText(says);
  });
}

test("a microphone that is missing is explained to who is called, too, and the picture goes both ways", async ({
  join,
}) => {
  const [ada, grace] = [await join("Ada"), await join("Grace")];
  await refuse(ada, "NotFoundError", ["audio"]);
  await look(grace);
  await connect(grace, ada);
  await expect(ada.calls.stage).toContainText("No microphone was found. Connect one, then press the microphone button");
  await Promise.all([grace.calls.showsMotion(), ada.calls.plays()]);
  await expect(grace.calls.theirs).toContainText("Ada is muted");
});

test("a camera that is unplugged in the middle of a call says so, and the call goes on", async ({ join }) => {
  const [ada, grace] = [await join("Ada"), await join("Grace")];
  await look(grace);
  await connect(grace, ada);
  await ada.calls.showsMotion();
  await grace.page.evaluate(() => {
    const camera = window.observed.tracks.find((track) => track.kind === "video" && track.readyState === "live");
    camera?.stop();
    camera?.dispatchEvent(new Event("ended"));
  });
  await expect(grace.calls.stage).toContainText("The camera was disconnected. Connect it");
  await expect(ada.calls.theirs).toContainText("Camera off");
  await ada.calls.sounds();
  await grace.calls.camera.click();
  await ada.calls.showsMotion();
});

/** From now on the microphone of a page hears a steady tone of this loudness, and nothing else. */
async function tone(page: Page, loudness: number): Promise<void> {
  await page.evaluate((loudness) => {
    const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    navigator.mediaDevices.getUserMedia = async (constraints) => {
      const stream = await ask(constraints);
      const context = new AudioContext();
      const [oscillator, gain] = [context.createOscillator(), context.createGain()];
      gain.gain.value = loudness;
      const ear = context.createMediaStreamDestination();
      oscillator.connect(gain).connect(ear);
      oscillator.start();
      for (const track of stream.getAudioTracks()) {
        stream.removeTrack(track);
        track.stop();
      }
      for (const track of ear.stream.getAudioTracks()) stream.addTrack(track);
      return stream;
    };
  }, loudness);
}

test("whoever talks while muted is told, and whose microphone is silent as well", async ({ join }) => {
  const [ada, grace] = [await join("Ada"), await join("Grace")];
  await tone(ada.page, 0.5);
  await tone(grace.page, 0);
  await ada.calls.call("Grace", "voice");
  const meter = ada.calls.dock.locator("meter");
  await grace.calls.accept();
  await Promise.all([ada.calls.connected(), grace.calls.connected()]);
  await expect(meter, "a meter is for the look at oneself").toHaveCount(0);
  await expect(ada.calls.stage).not.toContainText("You are talking while muted.");
  await ada.calls.microphone.click();
  await expect(ada.calls.stage).toContainText("You are talking while muted.");
  await ada.calls.microphone.click();
  await expect(ada.calls.stage).not.toContainText("You are talking while muted.");
  await expect(grace.calls.stage).toContainText("Your microphone is silent");
});

test("the look at oneself shows how loud one is", async ({ join }) => {
  const ada = await join("Ada");
  await join("Grace");
  await tone(ada.page, 0.5);
  await ada.page.locator(".chat-rooms").getByRole("button", { name: "Call Grace", exact: true }).click();
  const meter = ada.calls.preview.locator("meter");
  await expect.poll(() => meter.evaluate((meter: HTMLMeterElement) => meter.value)).toBeGreaterThan(50);
});
