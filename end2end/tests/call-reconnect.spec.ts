/** Calls that lose their network, server or browser. */
import { type Visitor, expect, test } from "./support/fixtures.ts";

async function connectCall(caller: Visitor, callee: Visitor): Promise<void> {
  await caller.calls.call(callee.name);
  await callee.calls.accept();
  await Promise.all([caller.calls.expectConnected(), callee.calls.expectConnected()]);
  await Promise.all([caller.calls.expectAudioAndVideo(), callee.calls.expectAudioAndVideo()]);
}

test(
  "a page that loses the server shows it to both sides, keeps audio and video, and reconnects",
  { tag: "@nodes" },
  async ({ join }) => {
    const [ada, grace] = [await join("Ada"), await join("Grace")];
    await connectCall(ada, grace);
    await ada.goOffline();
    await expect(grace.calls.state).toContainText("Reconnecting…");
    await Promise.all([ada.calls.expectMovingVideo(), grace.calls.expectMovingVideo()]);
    await ada.goOnline();
    await Promise.all([ada.calls.expectConnected(), grace.calls.expectConnected()]);
    await Promise.all([ada.calls.expectAudioAndVideo(), grace.calls.expectAudioAndVideo()]);
    await grace.calls.hangUp();
    await expect(ada.calls.endedCard).toContainText(/Video call, \d+ s/);
  },
);

test("a suspended browser is noticed by the other side, and the call recovers when it resumes", async ({
  join,
  browserProcess,
}) => {
  const ada = await join("Ada");
  const grace = await join("Grace", { browserProcess });
  await connectCall(ada, grace);
  browserProcess.suspend();
  // A browser takes about seven seconds to notice the loss of its peer.
  await expect(ada.calls.state).toContainText("Reconnecting…", { timeout: 20_000 });
  await expect(ada.calls.stage).toContainText("Reconnecting automatically");
  browserProcess.resume();
  await Promise.all([ada.calls.expectConnected(), grace.calls.expectConnected()]);
  await Promise.all([ada.calls.expectAudioAndVideo(), grace.calls.expectAudioAndVideo()]);
  await ada.calls.hangUp();
  await expect(grace.calls.endedCard).toContainText(/Video call, \d+ s/);
});

test("a server that is killed during a call does not end it", { tag: "@nodes" }, async ({ join, server }) => {
  const [ada, grace] = [await join("Ada"), await join("Grace")];
  ada.allowOutageErrors();
  grace.allowOutageErrors();
  await connectCall(ada, grace);
  await Promise.all([ada.calls.startFrameTiming(), grace.calls.startFrameTiming()]);
  await server.kill();
  await Promise.all([ada.calls.expectAudioAndVideo(), grace.calls.expectAudioAndVideo()]);
  await server.launch();
  await Promise.all([ada.calls.expectConnected(), grace.calls.expectConnected()]);
  await Promise.all([ada.calls.expectAudioAndVideo(), grace.calls.expectAudioAndVideo()]);
  for (const { calls } of [ada, grace])
    expect(await calls.longestFrameGapMs(), "video does not freeze").toBeLessThan(1_500);
  await ada.chat.sendMessage("Did you notice?");
  await expect(grace.chat.message("Did you notice?")).toBeVisible();
  await ada.calls.hangUp();
  await expect(grace.calls.endedCard).toContainText(/Video call, \d+ s/);
});

test(
  "a call answered while the server is down connects after the restart",
  { tag: "@nodes" },
  async ({ join, server }) => {
    const [ada, grace] = [await join("Ada"), await join("Grace")];
    ada.allowOutageErrors();
    grace.allowOutageErrors();
    await ada.calls.call("Grace");
    await expect(grace.calls.incoming).toBeVisible();
    await server.kill();
    await expect(ada.calls.state).toContainText("No connection to the server");
    await grace.calls.accept();
    await expect(grace.calls.state).toContainText(
      "No connection to the server. The call will be answered when it is back.",
    );
    await server.launch();
    await Promise.all([ada.calls.expectConnected(), grace.calls.expectConnected()]);
    await Promise.all([ada.calls.expectAudioAndVideo(), grace.calls.expectAudioAndVideo()]);
  },
);

test.describe("with a reconnect grace of three seconds", { tag: "@nodes" }, () => {
  test.use({ serverEnv: { RIALTO_CALL_GRACE_SECONDS: "3" } });

  test("a browser that is killed ends the call for the other side, which sees why", async ({
    join,
    browserProcess,
  }) => {
    const ada = await join("Ada");
    const grace = await join("Grace", { browserProcess });
    await connectCall(ada, grace);
    await browserProcess.kill();
    await expect(ada.calls.state).toContainText("Reconnecting…");
    await expect(ada.calls.endedCard).toContainText(/Video call, connection lost after \d+ s/);
    await expect.poll(() => ada.calls.openDevices()).toEqual({ microphone: false, camera: false });
    await ada.chat.roomLink("Grace").click();
    await expect(ada.chat.timeline.locator(".message-call")).toContainText(/connection lost after/);
  });
});
