/** Calls with missing, failing and changing devices. Without a device, the call shows why and still connects. */
import type { Page } from "@playwright/test";
import { type Visitor, expect, test } from "./support/fixtures.ts";
import { BrowserProcess } from "./support/browser-process.ts";

/** Reloads the page and makes `getUserMedia` reject requests for these devices with the named error. */
async function rejectGetUserMedia(visitor: Visitor, name: string, devices: ("audio" | "video")[]): Promise<void> {
  await visitor.context.addInitScript(
    ({ name, devices }) => {
      const getUserMedia = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
      navigator.mediaDevices.getUserMedia = (constraints) =>
        devices.some((device) => Boolean(constraints?.[device]))
          ? Promise.reject(new DOMException("rejected by the test", name))
          : getUserMedia(constraints);
    },
    { name, devices },
  );
  await visitor.open("/chat/general");
}

async function connectCall(grace: Visitor, ada: Visitor): Promise<void> {
  await grace.calls.startFromPreview();
  await ada.calls.accept();
  await Promise.all([ada.calls.expectConnected(), grace.calls.expectConnected()]);
}

async function openPreview(grace: Visitor): Promise<void> {
  await grace.page.locator(".chat-rooms").getByRole("button", { name: "Video call Ada" }).click();
}

test("a caller who denies microphone and camera gets instructions, and still receives audio and video", async ({
  join,
}) => {
  const ada = await join("Ada");
  const grace = await join("Grace", { permissions: [] });
  await openPreview(grace);
  const { preview } = grace.calls;
  await expect(preview).toContainText(
    "Your browser blocks the microphone for this page. Press the icon left of the address",
  );
  await expect(preview).toContainText(
    "Your browser blocks the camera for this page. Press the icon left of the address",
  );
  await connectCall(grace, ada);
  await grace.calls.expectAudioAndVideo();
  await expect(ada.calls.remoteView).toContainText("Camera off");
  await expect(ada.calls.remoteView).toContainText("Grace is muted");

  // The devices are allowed during the call.
  await grace.context.grantPermissions(["camera", "microphone"]);
  await grace.calls.cameraButton.click();
  await grace.calls.microphoneButton.click();
  await ada.calls.expectAudioAndVideo();
  await expect(grace.calls.stage).not.toContainText("Your browser blocks");
});

for (const [name, expectedText] of [
  ["NotAllowedError", "Your browser blocks the camera for this page"],
  ["NotFoundError", "No camera was found"],
  ["NotReadableError", "The camera could not be started; another program may be using it"],
] as const) {
  test(`a camera that fails with ${name} is explained, and audio flows both ways`, async ({ join }) => {
    const [ada, grace] = [await join("Ada"), await join("Grace")];
    await rejectGetUserMedia(grace, name, ["video"]);
    await openPreview(grace);
    await expect(grace.calls.preview).toContainText(expectedText);
    await expect(grace.calls.preview).toContainText(/Without it you can/);
    await connectCall(grace, ada);
    await Promise.all([grace.calls.expectAudioAndVideo(), ada.calls.expectAudio()]);
    await expect(ada.calls.remoteView).toContainText("Camera off");
    await expect(grace.calls.stage).toContainText(expectedText);
  });
}

test("a missing microphone of the callee is explained, and video flows both ways", async ({ join }) => {
  const [ada, grace] = [await join("Ada"), await join("Grace")];
  await rejectGetUserMedia(ada, "NotFoundError", ["audio"]);
  await openPreview(grace);
  await connectCall(grace, ada);
  await expect(ada.calls.stage).toContainText("No microphone was found. Connect one, then press the microphone button");
  await Promise.all([grace.calls.expectMovingVideo(), ada.calls.expectAudioAndVideo()]);
  await expect(grace.calls.remoteView).toContainText("Ada is muted");
});

/** Changes the flag for fake devices to give the browser three microphones and three cameras. */
function withThreeDevices(flag: string): string {
  return flag.startsWith("--use-fake-device") ? "--use-fake-device-for-media-stream=device-count=3,fps=15" : flag;
}

/** Ends the track of the camera in use, as unplugging it would. */
async function unplugCamera(page: Page): Promise<void> {
  await page.evaluate(() => {
    const camera = window.instrumentation.localTracks.findLast(
      (track) => track.kind === "video" && track.readyState === "live",
    );
    camera?.stop();
    camera?.dispatchEvent(new Event("ended"));
  });
}

test("a camera unplugged during a call is replaced by another one, or by a message if there is none", async ({
  join,
}) => {
  const [ada, grace] = [await join("Ada"), await join("Grace")];
  await openPreview(grace);
  await connectCall(grace, ada);
  await ada.calls.expectMovingVideo();
  await unplugCamera(grace.page);
  await expect(grace.calls.stage).toContainText(/The camera was disconnected\. Now using “fake_device_\d”/);
  await ada.calls.expectMovingVideo();
  await grace.page.evaluate(() => {
    const getUserMedia = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    navigator.mediaDevices.getUserMedia = () => {
      navigator.mediaDevices.getUserMedia = getUserMedia;
      return Promise.reject(new DOMException("none", "NotFoundError"));
    };
  });
  await unplugCamera(grace.page);
  await expect(grace.calls.stage).toContainText("The camera was disconnected. Connect it");
  await expect(ada.calls.remoteView).toContainText("Camera off");
  await ada.calls.expectAudio();
  await grace.calls.cameraButton.click();
  await ada.calls.expectMovingVideo();
});

test("microphone, camera and speaker are chosen before a call, remembered, and switched during it without a new connection", async ({
  join,
  launchOptions,
}) => {
  const browserProcess = await BrowserProcess.start({
    ...launchOptions,
    args: launchOptions.args?.map(withThreeDevices) ?? [],
  });
  const [ada, grace] = [await join("Ada"), await join("Grace", { browserProcess })];
  await openPreview(grace);
  const { preview, stage } = grace.calls;
  const used = (kind: string) =>
    grace.page.evaluate(
      (kind) =>
        window.instrumentation.localTracks.findLast((track) => track.kind === kind && track.readyState === "live")
          ?.label,
      kind,
    );
  await preview.getByLabel("Camera", { exact: true }).selectOption("fake_device_2");
  await expect.poll(() => used("video")).toBe("fake_device_2");
  await expect(preview.getByLabel("Speaker")).toBeVisible();
  await preview.getByRole("button", { name: "Cancel" }).click();
  await grace.page.reload();
  await grace.waitUntilConnected();
  await openPreview(grace);
  await expect(preview.getByLabel("Camera", { exact: true })).toHaveValue(/./);
  await expect.poll(() => used("video"), "the choice is remembered").toBe("fake_device_2");
  await connectCall(grace, ada);
  await ada.calls.expectAudioAndVideo();

  await stage.getByRole("button", { name: "Devices" }).click();
  await stage.getByLabel("Camera", { exact: true }).selectOption("fake_device_0");
  await expect.poll(() => used("video")).toBe("fake_device_0");
  await ada.calls.expectMovingVideo();
  const microphones = stage.getByLabel("Microphone", { exact: true });
  await microphones.selectOption({ index: 2 });
  await ada.calls.expectAudio();
  await stage.getByText("Microphone processing").click();
  const echoCancellation = () =>
    grace.page.evaluate(
      () =>
        window.instrumentation.localTracks
          .findLast((track) => track.kind === "audio" && track.readyState === "live")
          ?.getSettings().echoCancellation,
    );
  await stage.getByLabel("Cancel echo").uncheck();
  await expect.poll(echoCancellation).toBe(false);
  await ada.calls.expectAudioAndVideo();
  await expect(ada.calls.remoteView).not.toContainText("muted");
  const peerConnectionCount = await grace.page.evaluate(() => window.instrumentation.peerConnections.length);
  expect(peerConnectionCount, "a single connection throughout").toBe(1);
  await browserProcess.close();
});

test("a device connected during a call is offered", async ({ join }) => {
  const [ada, grace] = [await join("Ada"), await join("Grace")];
  await openPreview(grace);
  await connectCall(grace, ada);
  await grace.page.evaluate(() => {
    const { mediaDevices } = navigator;
    const list = mediaDevices.enumerateDevices.bind(mediaDevices);
    mediaDevices.enumerateDevices = async () => [
      ...(await list()),
      { kind: "audioinput", deviceId: "headset", label: "Headset", groupId: "", toJSON: () => "" },
    ];
    mediaDevices.dispatchEvent(new Event("devicechange"));
  });
  await expect(grace.calls.stage).toContainText("“Headset” was connected.");
  await grace.calls.stage.getByRole("button", { name: "Use it" }).click();
  await expect(grace.calls.stage).not.toContainText("was connected.");
  await ada.calls.expectAudioAndVideo();
});

/** Replaces the microphone of a page with a steady tone. `loudness` is its gain, from 0 to 1. */
async function installToneMicrophone(page: Page, loudness: number): Promise<void> {
  await page.evaluate((loudness) => {
    const getUserMedia = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    navigator.mediaDevices.getUserMedia = async (constraints) => {
      const stream = await getUserMedia(constraints);
      const context = new AudioContext();
      const [oscillator, gain] = [context.createOscillator(), context.createGain()];
      gain.gain.value = loudness;
      const destination = context.createMediaStreamDestination();
      oscillator.connect(gain).connect(destination);
      oscillator.start();
      for (const track of stream.getAudioTracks()) {
        stream.removeTrack(track);
        track.stop();
      }
      for (const track of destination.stream.getAudioTracks()) stream.addTrack(track);
      return stream;
    };
  }, loudness);
}

test("talking while muted shows a hint, and so does a silent microphone", async ({ join }) => {
  const [ada, grace] = [await join("Ada"), await join("Grace")];
  await installToneMicrophone(ada.page, 0.5);
  await installToneMicrophone(grace.page, 0);
  await ada.calls.call("Grace", "voice");
  const meter = ada.calls.dock.locator("meter");
  await grace.calls.accept();
  await Promise.all([ada.calls.expectConnected(), grace.calls.expectConnected()]);
  await expect(meter, "the meter is only in the preview").toHaveCount(0);
  await expect(ada.calls.stage).not.toContainText("You are talking while muted.");
  await ada.calls.microphoneButton.click();
  await expect(ada.calls.stage).toContainText("You are talking while muted.");
  await ada.calls.microphoneButton.click();
  await expect(ada.calls.stage).not.toContainText("You are talking while muted.");
  await expect(grace.calls.stage).toContainText("your microphone is silent");
});

test("the preview shows the microphone's level", async ({ join }) => {
  const ada = await join("Ada");
  await join("Grace");
  await installToneMicrophone(ada.page, 0.5);
  await ada.page.locator(".chat-rooms").getByRole("button", { name: "Call Grace", exact: true }).click();
  const meter = ada.calls.preview.locator("meter");
  await expect.poll(() => meter.evaluate((meter: HTMLMeterElement) => meter.value)).toBeGreaterThan(50);
});
