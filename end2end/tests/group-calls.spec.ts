/** Group calls in rooms. */
import { type Visitor, expect, test } from "./support/fixtures.ts";
import { expectVideoStreams, joinGroupCall } from "./support/group-calls.ts";
import { BrowserProcess } from "./support/browser-process.ts";

test(
  "a group call of three shows its members, muting and leaving, and its outcome is in the room",
  { tag: "@nodes" },
  async ({ join }) => {
    const [ada, grace, eve] = [await join("Ada"), await join("Grace"), await join("Eve")];
    await joinGroupCall(ada, true);
    await expect(ada.calls.state).toContainText("Nobody else is here yet");
    await expect(grace.page.getByLabel("Call in this room", { exact: true })).toContainText("Ada is in a call");
    await expect(ada.page.getByLabel("Call in this room", { exact: true })).toContainText("You are in this call");
    await joinGroupCall(grace);
    await joinGroupCall(eve);
    await expect(eve.calls.state).toContainText("3 people");
    await expectVideoStreams([ada, grace, eve], 2);
    for (const { calls } of [ada, grace, eve]) await calls.expectAudiblePlayback(2);
    await expect(grace.page.getByRole("link", { name: "General Call in progress" })).toBeVisible();

    const tile = (visitor: Visitor, name: string) =>
      visitor.calls.stage.getByRole("listitem").filter({ hasText: name });
    await ada.calls.microphoneButton.click();
    await expect(tile(grace, "Ada")).toContainText("Muted: ");
    await ada.calls.microphoneButton.click();
    await expect(tile(grace, "Ada")).not.toContainText("Muted: ");
    await eve.calls.cameraButton.click();
    await expect(tile(ada, "Eve")).toContainText("Camera off");

    await eve.calls.stage.getByRole("button", { name: "Leave" }).click();
    await expect(tile(ada, "Eve")).toHaveCount(0);
    await expect(eve.calls.stage).toHaveCount(0);
    await expect.poll(() => eve.calls.openDevices()).toEqual({ microphone: false, camera: false });
    await expectVideoStreams([ada, grace], 1);
    await grace.calls.stage.getByRole("button", { name: "Leave" }).click();
    await ada.calls.stage.getByRole("button", { name: "Leave" }).click();
    await expect(eve.page.getByLabel("Call in this room", { exact: true })).toHaveCount(0);
    await expect(eve.chat.timeline).toContainText(/Call, (\d+ min )?\d+ s: Ada, Grace, Eve/);
  },
);

test(
  "a group call survives a restart of the server, and moves to another tab of a member",
  { tag: "@nodes" },
  async ({ join, server }) => {
    const [ada, grace] = [await join("Ada"), await join("Grace")];
    for (const visitor of [ada, grace]) visitor.allowOutageErrors();
    await joinGroupCall(ada, true);
    await joinGroupCall(grace);
    await expectVideoStreams([ada, grace], 1);
    await server.kill();
    await expectVideoStreams([ada, grace], 1);
    await server.launch();
    await expectVideoStreams([ada, grace], 1);
    await expect(ada.calls.state).toContainText("2 people");
    for (const { calls } of [ada, grace]) await calls.expectAudiblePlayback();

    const tab = await grace.openTab("/chat/general");
    await joinGroupCall(tab);
    await expect(grace.calls.endedCard).toContainText("You are no longer in the call");
    await expectVideoStreams([ada], 1);
    for (const { calls } of [ada, tab]) await calls.expectAudiblePlayback();
  },
);

/** Changes the flag for fake devices to five video frames per second. */
function withLowFrameRate(flag: string): string {
  return flag.startsWith("--use-fake-device") ? "--use-fake-device-for-media-stream=fps=5" : flag;
}

test.describe("with six people", { tag: "@exclusive" }, () => {
  test.setTimeout(240_000);

  test("all see each other; one leaves, one crashes, and the others continue", async ({ join, launchOptions }) => {
    // This machine encodes and decodes thirty video streams: small windows and a low frame rate keep the load down.
    const browserProcess = await BrowserProcess.start({
      ...launchOptions,
      args: launchOptions.args?.map(withLowFrameRate) ?? [],
    });
    const options = { browserProcess, viewport: { width: 480, height: 640 } };
    // Only two have microphones: thirty audio streams as well would overload two cores.
    const cameraOnly = { ...options, permissions: ["camera"] };
    const visitors: Visitor[] = [];
    for (const name of ["Ada", "Grace"]) visitors.push(await join(name, options));
    for (const name of ["Eve", "Frank", "Heidi", "Ivan"]) visitors.push(await join(name, cameraOnly));
    for (const [at, visitor] of visitors.entries()) await joinGroupCall(visitor, at === 0);
    await expectVideoStreams(visitors, 5);
    const [ada, grace, eve, frank, heidi, ivan] = visitors as [Visitor, Visitor, Visitor, Visitor, Visitor, Visitor];
    for (const { calls } of [ada, grace]) await calls.expectAudiblePlayback(1);
    for (const { calls } of [eve, frank, heidi, ivan]) await calls.expectAudiblePlayback(2);

    // Measures gaps in one remote video while somebody else leaves.
    await ada.page.evaluate(() => {
      const frames: Window["frameTiming_"] = { lastFrameAt: performance.now(), longestGapMs: 0 };
      window.frameTiming_ = frames;
      const video = document.querySelector<HTMLVideoElement>(".call-tile .call-their-video");
      const onFrame = () => {
        const now = performance.now();
        frames.longestGapMs = Math.max(frames.longestGapMs, now - frames.lastFrameAt);
        frames.lastFrameAt = now;
        video?.requestVideoFrameCallback(onFrame);
      };
      video?.requestVideoFrameCallback(onFrame);
    });
    await ivan.calls.stage.getByRole("button", { name: "Leave" }).click();
    await expect(ada.calls.state).toContainText("5 people", { timeout: 30_000 });
    console.log(
      `    longest gap between video frames while somebody leaves: ${Math.round(await ada.calls.longestFrameGapMs())} ms`,
    );
    await expectVideoStreams([ada, grace, eve, frank, heidi], 4);

    // The renderer process crashes without leaving the call.
    heidi.browserErrors.allow(/.*/, "its page crashes");
    await heidi.page.goto("chrome://crash").catch(() => undefined);
    await expect(ada.calls.state).toContainText("4 people", { timeout: 30_000 });
    await expectVideoStreams([ada, grace, eve, frank], 3);
    await browserProcess.close();
  });
});
