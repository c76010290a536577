/** Calls from start to end. Device problems are in call-devices.spec.ts, outages in call-reconnect.spec.ts. */
import { type Visitor, expect, test } from "./support/fixtures.ts";

async function connectCall(caller: Visitor, callee: Visitor, media: "voice" | "video" = "video"): Promise<void> {
  await caller.calls.call(callee.name, media);
  await expect(callee.calls.incoming).toContainText(`${caller.name} is calling`);
  await callee.calls.accept();
  await Promise.all([caller.calls.expectConnected(), callee.calls.expectConnected()]);
}

/** Opens the direct room with `other`, and returns the outcomes of calls in it. */
async function readCallOutcomes(visitor: Visitor, other: Visitor): Promise<string[]> {
  await visitor.open("/chat/general");
  await visitor.chat.openDirectRoom(other.name);
  return visitor.chat.timeline.locator(".message-call p").allTextContents();
}

test("the preview comes first, and a callee is rung on any page", async ({ join }) => {
  const ada = await join("Ada");
  const grace = await join("Grace", { startPath: "/settings" });
  await ada.page.locator(".chat-rooms").getByRole("button", { name: "Video call Grace" }).click();
  await expect(ada.calls.preview).toContainText("Call Grace");
  await expect.poll(() => ada.calls.openDevices()).toEqual({ microphone: true, camera: true });
  const self = ada.calls.preview.locator("video");
  await expect.poll(() => self.evaluate((video: HTMLVideoElement) => video.videoWidth)).toBeGreaterThan(0);
  await expect(grace.calls.incoming, "it does not ring yet").toHaveCount(0);
  await ada.calls.preview.getByRole("button", { name: "Cancel" }).click();
  await expect(ada.calls.preview).toHaveCount(0);
  await expect
    .poll(() => ada.calls.openDevices(), "the devices are closed")
    .toEqual({ microphone: false, camera: false });

  await ada.calls.call("Grace");
  await expect(ada.calls.state).toContainText("Ringing…");
  await expect(grace.calls.incoming).toContainText("Video call");
  await expect.poll(() => grace.page.title()).toBe("Ada is calling");
  const icon = grace.page.locator("link[rel=icon][type='image/svg+xml']");
  await expect(icon).toHaveAttribute("href", "/favicon-ringing.svg");
  expect(await grace.calls.openDevices(), "devices stay closed before the answer").toEqual({
    microphone: false,
    camera: false,
  });
  await ada.calls.hangUp();
  await expect(grace.calls.incoming).toHaveCount(0);
  await expect(grace.page).toHaveTitle(/Settings/);
  await expect(icon).toHaveAttribute("href", "/favicon.svg");
});

test("a voice call carries audio both ways and no video", async ({ join }) => {
  const [ada, grace] = [await join("Ada"), await join("Grace")];
  await ada.calls.call("Grace", "voice");
  await expect(grace.calls.incoming).toContainText("Voice call");
  await expect(grace.calls.incoming.getByRole("button", { name: "Accept without camera" })).toHaveCount(0);
  await grace.calls.accept();
  await Promise.all([ada.calls.expectConnected(), grace.calls.expectConnected()]);
  await Promise.all([ada.calls.expectAudio(), grace.calls.expectAudio()]);
  for (const { calls } of [ada, grace]) {
    await expect(calls.remoteView).toContainText("Camera off");
    expect(await calls.openDevices()).toEqual({ microphone: true, camera: false });
  }
});

test(
  "a declined call is shown to the caller, and to both in their direct room",
  { tag: "@nodes" },
  async ({ join }) => {
    const ada = await join("Ada");
    const grace = await join("Grace", { startPath: "/" });
    await ada.calls.call("Grace");
    await grace.calls.decline();
    await expect(ada.calls.endedCard).toContainText("Video call declined");
    await expect(grace.calls.incoming).toHaveCount(0);
    await expect(grace.calls.endedCard).toHaveCount(0);
    await expect.poll(() => ada.calls.openDevices()).toEqual({ microphone: false, camera: false });
    expect(await readCallOutcomes(ada, grace)).toEqual(["Video call declined"]);
    expect(await readCallOutcomes(grace, ada)).toEqual(["You declined a video call"]);
  },
);

test(
  "a second call waits silently and can be declined or answered instead, and a third caller gets busy",
  { tag: "@nodes" },
  async ({ join }) => {
    const [ada, grace, eve, frank] = [await join("Ada"), await join("Grace"), await join("Eve"), await join("Frank")];
    await connectCall(ada, grace);
    await eve.calls.call("Grace");
    await expect(grace.calls.callWaiting).toContainText("Eve");
    await expect(grace.page, "the title does not change").not.toHaveTitle("Eve is calling");
    await expect(grace.calls.incoming).toHaveCount(0);
    await Promise.all([ada.calls.expectMovingVideo(), grace.calls.expectMovingVideo()]);
    await frank.calls.call("Grace");
    await expect(frank.calls.endedCard).toContainText("Video call, busy");

    await grace.calls.callWaiting.getByRole("button", { name: "Decline" }).click();
    await expect(eve.calls.endedCard).toContainText("Video call declined");
    await expect(grace.calls.callWaiting).toHaveCount(0);
    await expect(ada.calls.state).toContainText("Connected");

    await eve.calls.endedCard.getByRole("button", { name: "Call back" }).click();
    await eve.calls.startFromPreview();
    await grace.calls.callWaiting.getByRole("button", { name: "End and answer" }).click();
    await expect(ada.calls.endedCard).toContainText("Video call, ");
    await Promise.all([eve.calls.expectConnected(), grace.calls.expectConnected()]);
    await eve.calls.expectAudioAndVideo();
  },
);

test("a waiting call rings once the first one ends", { tag: "@nodes" }, async ({ join }) => {
  const [ada, grace, eve] = [await join("Ada"), await join("Grace"), await join("Eve")];
  await connectCall(ada, grace, "voice");
  await eve.calls.call("Grace", "voice");
  await expect(grace.calls.callWaiting).toContainText("Eve");
  await ada.calls.hangUp();
  await expect(grace.calls.incoming).toContainText("Eve is calling");
  await expect.poll(() => grace.page.title()).toBe("Eve is calling");
  await grace.calls.accept();
  await Promise.all([eve.calls.expectConnected(), grace.calls.expectConnected()]);
});

test("a cancelled call stops ringing at once and counts as missed", { tag: "@nodes" }, async ({ join }) => {
  const [ada, grace] = [await join("Ada"), await join("Grace")];
  await ada.calls.call("Grace", "voice");
  await expect(grace.calls.incoming).toBeVisible();
  await ada.calls.hangUp();
  await expect(grace.calls.incoming).toHaveCount(0);
  await expect(grace.calls.endedCard).toContainText("Missed voice call");
  expect(await readCallOutcomes(ada, grace)).toEqual(["Voice call cancelled"]);
  expect(await readCallOutcomes(grace, ada)).toEqual(["Missed voice call"]);
});

test.describe("with two seconds to answer", { tag: "@nodes" }, () => {
  test.use({ serverEnv: { RIALTO_RING_SECONDS: "2" } });

  test("an unanswered call ends by itself, as missed for the callee and unanswered for the caller", async ({
    join,
  }) => {
    const [ada, grace] = [await join("Ada"), await join("Grace")];
    await ada.calls.call("Grace");
    await expect(grace.calls.incoming).toBeVisible();
    await expect(ada.calls.endedCard).toContainText("Video call, no answer");
    await expect(grace.calls.incoming).toHaveCount(0);
    await expect(grace.calls.endedCard).toContainText("Missed video call");
    await grace.calls.endedCard.getByRole("button", { name: "Close" }).click();
    await expect(grace.calls.endedCard).toHaveCount(0);
    expect(await readCallOutcomes(ada, grace)).toEqual(["Video call, no answer"]);
  });

  test("a callee who is offline finds the missed call later", async ({ join, server }) => {
    const [ada, grace] = [await join("Ada"), await join("Grace")];
    await ada.chat.openDirectRoom("Grace");
    await ada.waitUntilConnected();
    await grace.page.goto("about:blank");
    await expect(ada.page.locator(".room-header").getByText("Offline", { exact: true })).toBeVisible();
    await ada.page.locator(".room-header").getByRole("button", { name: "Video call Grace" }).click();
    await ada.calls.startFromPreview();
    await expect(ada.calls.endedCard).toContainText("Video call, no answer");
    await grace.open("/chat");
    await expect(grace.chat.roomLink("Ada").locator(".badge")).toHaveText("1 unread");
    await grace.chat.roomLink("Ada").click();
    await expect(grace.page.getByText("Missed video call")).toBeVisible();
    expect(grace.page.url()).toContain(server.url);
  });
});

test(
  "every tab rings; the one that answers gets the call and the other stops ringing",
  { tag: "@nodes" },
  async ({ join }) => {
    const ada = await join("Ada");
    const grace = await join("Grace", { startPath: "/" });
    const tab = await grace.openTab("/calls");
    await ada.calls.call("Grace");
    await expect(grace.calls.incoming).toBeVisible();
    await expect(tab.calls.incoming).toBeVisible();
    await tab.calls.accept();
    await expect(grace.calls.incoming).toHaveCount(0);
    await expect(grace.calls.endedCard).toHaveCount(0);
    await Promise.all([ada.calls.expectConnected(), tab.calls.expectConnected()]);
    await Promise.all([ada.calls.expectAudioAndVideo(), tab.calls.expectAudioAndVideo()]);
    await expect(grace.calls.stage).toHaveCount(0);
  },
);

test("two people who call each other at the same time end up in one call", { tag: "@nodes" }, async ({ join }) => {
  const [ada, grace] = [await join("Ada"), await join("Grace")];
  // Holds frames about Ada's call back until Grace's page has started its own call.
  const held: (() => void)[] = [];
  let hasCalled = false;
  await grace.page.routeWebSocket("**/ws", (socket) => {
    const server = socket.connectToServer();
    socket.onMessage((message) => {
      server.send(message);
      hasCalled ||= message.includes('"action":"start"');
      if (hasCalled) for (const pass of held.splice(0)) pass();
    });
    server.onMessage((message) => {
      if (!hasCalled && message.includes('"type":"call"')) held.push(socket.send.bind(socket, message));
      else socket.send(message);
    });
  });
  await grace.open("/chat/general");
  await grace.page.locator(".chat-rooms").getByRole("button", { name: "Video call Ada" }).click();
  await expect(grace.calls.preview).toBeVisible();
  await ada.calls.call("Grace");
  await expect.poll(() => held.length).toBe(1);
  await grace.calls.startFromPreview();
  await Promise.all([ada.calls.expectConnected(), grace.calls.expectConnected()]);
  await Promise.all([ada.calls.expectAudioAndVideo(), grace.calls.expectAudioAndVideo()]);
  await ada.calls.hangUp();
  await expect(grace.calls.stage).toHaveCount(0);
  const calls = await readCallOutcomes(ada, grace);
  expect(calls).toHaveLength(1);
  expect(calls[0]).toMatch(/^Video call, \d+ s$/);
});

test("a call from the person one is about to call can be accepted from the preview", async ({ join }) => {
  const [ada, grace] = [await join("Ada"), await join("Grace")];
  // Grace has the preview of a call to Ada open when Ada's call arrives.
  await grace.page.locator(".chat-rooms").getByRole("button", { name: "Video call Ada" }).click();
  await expect(grace.calls.preview).toBeVisible();
  await ada.calls.call("Grace");
  await expect(grace.calls.incoming).toContainText("Ada is calling");
  await grace.calls.accept();
  await Promise.all([ada.calls.expectConnected(), grace.calls.expectConnected()]);
  await Promise.all([ada.calls.expectAudioAndVideo(), grace.calls.expectAudioAndVideo()]);
});

test("a call can be accepted without the camera, which can be turned on later", async ({ join }) => {
  const [ada, grace] = [await join("Ada"), await join("Grace")];
  await ada.calls.call("Grace");
  await grace.calls.incoming.getByRole("button", { name: "Accept without camera" }).click();
  await Promise.all([ada.calls.expectConnected(), grace.calls.expectConnected()]);
  await expect(ada.calls.remoteView).toContainText("Camera off");
  expect(await grace.calls.openDevices()).toEqual({ microphone: true, camera: false });
  await grace.calls.expectMovingVideo();
  await ada.calls.expectAudio();
  await grace.calls.cameraButton.click();
  await ada.calls.expectMovingVideo();
  await expect(ada.calls.remoteView).not.toContainText("Camera off");
});

test("turning the camera off closes the device, turning it on restores video, and muting is silent and shown", async ({
  join,
}) => {
  const [ada, grace] = [await join("Ada"), await join("Grace")];
  await connectCall(ada, grace);
  await grace.calls.expectAudioAndVideo();
  await ada.calls.cameraButton.click();
  await expect.poll(() => ada.calls.openDevices()).toEqual({ microphone: true, camera: false });
  await expect(grace.calls.remoteView).toContainText("Camera off");
  await ada.calls.cameraButton.click();
  await expect(grace.calls.remoteView).not.toContainText("Camera off");
  await grace.calls.expectMovingVideo();

  await ada.calls.microphoneButton.click();
  await expect(grace.calls.remoteView).toContainText("Ada is muted");
  await expect.poll(() => grace.calls.isReceivingSilence(), "the received audio is silent").toBe(true);
  await ada.calls.microphoneButton.click();
  await expect(grace.calls.remoteView).not.toContainText("Ada is muted");
  await grace.calls.expectAudio();
});

test("the outcome of a call is in the direct room, which offers to call back", { tag: "@nodes" }, async ({ join }) => {
  const [ada, grace] = [await join("Ada"), await join("Grace")];
  await connectCall(ada, grace);
  await ada.calls.expectAudioAndVideo();
  await ada.calls.hangUp();
  await expect(ada.calls.endedCard).toContainText(/Video call, \d+ s/);
  await expect(grace.calls.endedCard).toContainText(/Video call, \d+ s/);
  await expect.poll(() => grace.calls.openDevices()).toEqual({ microphone: false, camera: false });
  await grace.chat.roomLink("Ada").click();
  const outcome = grace.chat.timeline.locator(".message-call");
  await expect(outcome).toContainText(/Video call, \d+ s/);
  await outcome.getByRole("button", { name: "Video call Ada" }).click();
  await grace.calls.startFromPreview();
  await ada.calls.accept();
  await Promise.all([ada.calls.expectConnected(), grace.calls.expectConnected()]);
  await Promise.all([ada.calls.expectAudioAndVideo(), grace.calls.expectAudioAndVideo()]);
});

test("the calls page lists past calls, newest first, and calls back", async ({ join }) => {
  const [ada, grace] = [await join("Ada"), await join("Grace")];
  await ada.calls.call("Grace", "voice");
  await grace.calls.decline();
  await ada.calls.endedCard.getByRole("button", { name: "Close" }).click();
  await grace.page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Calls" }).click();
  const past = grace.page.locator("section").filter({ hasText: "Past calls" });
  await expect(past.getByText("You declined a voice call")).toBeVisible();
  await past.getByRole("button", { name: "Call Ada back" }).click();
  await grace.calls.startFromPreview();
  await ada.calls.accept();
  await Promise.all([ada.calls.expectConnected(), grace.calls.expectConnected()]);
  await ada.calls.hangUp();
  await expect(past.locator(".call-row-outcome")).toHaveText([/^Voice call, \d+ s$/, "You declined a voice call"]);
});

test("a call continues on the news, chat, settings and calls pages of the same tab", async ({ join, publisher }) => {
  const { path } = await publisher.publish({ headline: "A long read", body: "Word after word." });
  const [ada, grace] = [await join("Ada"), await join("Grace")];
  await connectCall(ada, grace);
  const menu = ada.page.getByRole("navigation", { name: "Main" });
  const steps: [() => Promise<void>, RegExp][] = [
    [() => menu.getByRole("link", { name: "News" }).click(), /\/$/],
    [() => ada.news.headline("A long read").getByRole("link").click(), new RegExp(`${path}$`)],
    [() => menu.getByRole("link", { name: "Chat" }).click(), /\/chat$/],
    [() => ada.chat.roomLink("General").click(), /\/chat\/general$/],
    [() => ada.page.locator(".account-link").click(), /\/settings$/],
    [() => menu.getByRole("link", { name: "Calls" }).click(), /\/calls$/],
  ];
  for (const [go, url] of steps) {
    await go();
    await expect(ada.page).toHaveURL(url);
    await Promise.all([ada.calls.expectMovingVideo(), grace.calls.expectMovingVideo()]);
    await expect(ada.calls.state).toContainText("Connected");
  }
  await ada.page.goBack();
  await ada.page.goBack();
  await ada.chat.sendMessage("Still talking");
  await expect(grace.chat.message("Still talking")).toBeVisible();
  await Promise.all([ada.calls.expectAudioAndVideo(), grace.calls.expectAudioAndVideo()]);
  expect(
    await ada.page.evaluate(() => window.instrumentation.peerConnections.length),
    "a single connection throughout",
  ).toBe(1);
  await ada.calls.stage.getByRole("button", { name: "Expand call" }).click();
  await ada.calls.hangUp();
  await expect(grace.calls.endedCard).toContainText(/Video call, \d+ s/);
});

test("leaving the site hangs up", { tag: "@nodes" }, async ({ join }) => {
  const [ada, grace] = [await join("Ada"), await join("Grace")];
  await connectCall(ada, grace);
  await grace.page.goto("about:blank");
  await expect(ada.calls.endedCard).toContainText(/Video call, \d+ s/);
  await expect.poll(() => ada.calls.openDevices()).toEqual({ microphone: false, camera: false });
});

test(
  "leaving the site hangs up, even if the WebSocket cannot send the hang-up",
  { tag: "@nodes" },
  async ({ join }) => {
    const [ada, grace] = [await join("Ada"), await join("Grace")];
    await connectCall(ada, grace);
    // Browsers under load send nothing more through the WebSocket of a page that is unloaded.
    await grace.page.evaluate(() => {
      window.addEventListener(
        "pagehide",
        () => {
          WebSocket.prototype.send = () => undefined;
        },
        { capture: true },
      );
    });
    await grace.page.goto("about:blank");
    await expect(ada.calls.endedCard).toContainText(/Video call, \d+ s/);
  },
);

test("a second call cannot be started during a call, and the page says so", async ({ join }) => {
  const [ada, grace, eve] = [await join("Ada"), await join("Grace"), await join("Eve")];
  await connectCall(ada, grace);
  await ada.page
    .locator(".chat-rooms")
    .getByRole("button", { name: `Video call ${eve.name}` })
    .click();
  await expect(ada.calls.stage).toContainText("You are already in a call. Leave it before you start another");
  await ada.calls.expectMovingVideo();
});

test("a call continues while one opens direct rooms, creates a room and changes name and theme", async ({
  joinAsAdministrator,
  join,
}) => {
  const [portia, grace] = [await joinAsAdministrator({ startPath: "/chat/general" }), await join("Grace")];
  const { page } = portia;
  await grace.chat.sendMessage("Write to me");
  await connectCall(portia, grace);
  const loaded: string[] = [];
  page.on("request", (request) => {
    if (request.isNavigationRequest()) loaded.push(request.url());
  });
  await portia.chat.openDirectRoom("Grace");
  await portia.chat.roomLink("General").click();
  await portia.chat.message("Write to me").locator("summary").click();
  await portia.chat.message("Write to me").getByRole("button", { name: "Message", exact: true }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Grace" })).toBeVisible();

  await page.getByText("New room").click();
  await page.getByLabel("Name").fill("General");
  await page.getByRole("button", { name: "Create room" }).click();
  portia.browserErrors.allow(/fn\/create-room|status of 500/, "the name is taken");
  await expect(page.getByText("A room with that name")).toBeVisible();
  await page.getByLabel("Name").fill("Harbour watch");
  await page.getByRole("button", { name: "Create room" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Harbour watch" })).toBeVisible();
  await expect(page.getByLabel("Name")).toBeHidden();

  await page.locator(".account-link").click();
  await page.getByLabel("Name", { exact: true }).fill("Portia B.");
  await page.getByRole("button", { name: "Change name" }).click();
  await expect(page.getByText("Name changed")).toBeVisible();
  await page.getByLabel("Dark", { exact: true }).check();
  await page.getByRole("button", { name: "Use this theme" }).click();
  await expect(page.getByText("Theme changed")).toBeVisible();
  await expect(page.locator("html")).toHaveAttribute("data-theme", "dark");

  await Promise.all([portia.calls.expectAudioAndVideo(), grace.calls.expectAudioAndVideo()]);
  expect(loaded, "no document is loaded again").toEqual([]);
  expect(
    await page.evaluate(() => window.instrumentation.peerConnections.length),
    "a single connection throughout",
  ).toBe(1);
});

test("a caller who switches from video to voice in the preview sends no video", async ({ join }) => {
  const [ada, grace] = [await join("Ada"), await join("Grace")];
  const row = ada.chat.personRow("Grace");
  const [video, voice] = [
    row.getByRole("button", { name: "Video call Grace" }),
    row.getByRole("button", { name: "Call Grace", exact: true }),
  ];
  // Both clicks in one task, while the request for the camera is pending.
  await row.evaluate((row) => {
    for (const label of ["Video call Grace", "Call Grace"]) {
      row.querySelector<HTMLElement>(`[aria-label="${label}"]`)?.click();
    }
  });
  await expect(ada.calls.preview.getByRole("button", { name: "Start voice call" })).toBeVisible();
  await expect.poll(() => ada.calls.openDevices()).toEqual({ microphone: true, camera: false });
  await video.click();
  await expect.poll(() => ada.calls.openDevices()).toEqual({ microphone: true, camera: true });
  await voice.click();
  await expect.poll(() => ada.calls.openDevices()).toEqual({ microphone: true, camera: false });
  await ada.calls.startFromPreview();
  await expect(grace.calls.incoming).toContainText("Voice call");
  await grace.calls.accept();
  await Promise.all([ada.calls.expectConnected(), grace.calls.expectConnected()]);
  await expect(grace.calls.remoteView).toContainText("Camera off");
  expect(await ada.calls.openDevices()).toEqual({ microphone: true, camera: false });
});

test("Escape closes the preview and restores the focus", async ({ join }) => {
  const [ada] = [await join("Ada"), await join("Grace")];
  const button = ada.chat.personRow("Grace").getByRole("button", { name: "Video call Grace" });
  await button.click();
  await expect(ada.calls.preview).toBeFocused();
  await ada.page.keyboard.press("Escape");
  await expect(ada.calls.preview).toHaveCount(0);
  await expect.poll(() => ada.calls.openDevices()).toEqual({ microphone: false, camera: false });
  await expect(button).toBeFocused();
});

test("keyboard shortcuts do what buttons do, except while one types", async ({ join }) => {
  const [ada, grace] = [await join("Ada"), await join("Grace")];
  await connectCall(ada, grace);
  const { keyboard } = ada.page;
  const expectMuted = async (isMuted: boolean) => {
    await expect(ada.calls.microphoneButton).toHaveAccessibleName(isMuted ? "Unmute" : "Mute");
  };
  await ada.chat.composer.click();
  await keyboard.type("mvh m");
  await expect(ada.chat.composer).toHaveValue("mvh m");
  await expectMuted(false);
  await ada.chat.composer.blur();
  await keyboard.press("m");
  await expectMuted(true);
  await expect(grace.calls.remoteView).toContainText("Ada is muted");
  await keyboard.down(" ");
  await expectMuted(false);
  await keyboard.up(" ");
  await expectMuted(true);
  await keyboard.press("v");
  await expect(ada.calls.cameraButton).toHaveAccessibleName("Start camera");
  await ada.page.evaluate(() => {
    localStorage.setItem("rialto_call_keys", "off");
  });
  await keyboard.press("m");
  await expectMuted(true);
  await ada.page.evaluate(() => {
    localStorage.removeItem("rialto_call_keys");
  });
  await keyboard.press("h");
  await expect(ada.calls.endedCard).toContainText("Video call");
  await expect(grace.calls.endedCard).toContainText("Video call");
});

test("bars show the connection's quality, and details its statistics", async ({ join }) => {
  const [ada, grace] = [await join("Ada"), await join("Grace")];
  await connectCall(ada, grace);
  const bars = ada.calls.stage.getByRole("button", { name: /^Connection: / });
  await bars.click();
  const details = ada.calls.stage.locator(".call-details");
  await expect(details).toContainText("RouteDirect");
  await expect(details).toContainText(/Receiving\d{2,} kbit\/s/);
  await expect(details).toContainText(/Video\d+ × \d+/);
  await bars.click();
  await expect(details).toHaveCount(0);
});

test("of the ringing tabs one plays sound and one shows a notification, and Do not disturb silences all", async ({
  join,
}) => {
  const ada = await join("Ada");
  const grace = await join("Grace", { startPath: "/settings", permissions: ["camera", "microphone", "notifications"] });
  const tab = await grace.openTab("/calls");
  // Headless browsers show no notifications and hide no pages: both are faked, and notifications recorded.
  for (const { page } of [grace, tab]) {
    await page.evaluate(() => {
      const notifications: string[] = [];
      let oscillatorStarts = 0;
      Object.assign(window, { notifications_: notifications, oscillatorStarts_: () => oscillatorStarts });
      Object.defineProperty(document, "visibilityState", { get: () => "hidden" });
      class FakeNotification {
        static permission = "granted";
        onclick = null;
        constructor(title: string, options: NotificationOptions) {
          notifications.push(`${title}: ${options.body ?? ""} (${options.tag ?? ""})`);
        }
        close() {
          notifications.push("closed");
        }
      }
      Object.assign(window, { Notification: FakeNotification });
      const start: (this: OscillatorNode, when?: number) => void = Reflect.get(OscillatorNode.prototype, "start");
      OscillatorNode.prototype.start = function (when) {
        oscillatorStarts += 1;
        start.call(this, when);
      };
    });
    await page.mouse.click(5, 5);
  }
  const notificationsOf = async ({ page }: Visitor) =>
    page.evaluate(() => (window as unknown as { notifications_: string[] }).notifications_);
  const oscillatorStartsOf = async ({ page }: Visitor) =>
    page.evaluate(() => (window as unknown as { oscillatorStarts_: () => number }).oscillatorStarts_());

  await ada.calls.call("Grace", "voice");
  await expect(grace.calls.incoming).toBeVisible();
  await expect(tab.calls.incoming).toBeVisible();
  await expect.poll(async () => (await oscillatorStartsOf(grace)) + (await oscillatorStartsOf(tab))).toBeGreaterThan(0);
  expect(
    Math.min(await oscillatorStartsOf(grace), await oscillatorStartsOf(tab)),
    "one of the two tabs is silent",
  ).toBe(0);
  expect(await notificationsOf(grace)).toEqual(["Ada is calling: Voice call (rialto-ring)"]);
  await ada.calls.hangUp();
  await expect.poll(() => notificationsOf(grace)).toEqual(["Ada is calling: Voice call (rialto-ring)", "closed"]);

  await grace.page.getByLabel(/^Do not disturb/).check();
  const before = (await oscillatorStartsOf(grace)) + (await oscillatorStartsOf(tab));
  await ada.calls.endedCard.getByRole("button", { name: "Call back" }).click();
  await ada.calls.startFromPreview();
  await expect(grace.calls.incoming, "the call is still shown").toBeVisible();
  await expect(tab.calls.incoming).toBeVisible();
  await grace.calls.decline();
  await expect(ada.calls.endedCard).toContainText("Voice call declined");
  expect((await oscillatorStartsOf(grace)) + (await oscillatorStartsOf(tab))).toBe(before);
  expect(await notificationsOf(grace)).toHaveLength(2);
});

for (const { answer, permission } of [
  { answer: "Notify me", permission: "granted" },
  { answer: "No, thanks", permission: "default" },
]) {
  test(`somebody who can be called is offered notifications once, and answers ${answer}`, async ({ join }) => {
    const ada = await join("Ada", { startPath: "/settings" });
    // Headless browsers deny notifications without a prompt.
    await ada.page.addInitScript(() => {
      class FakeNotification {
        static permission = "default";
        static requestPermission() {
          FakeNotification.permission = "granted";
          return Promise.resolve(FakeNotification.permission);
        }
      }
      Object.assign(window, { Notification: FakeNotification });
    });
    await ada.open("/chat/general");
    const question = ada.page.getByRole("region", {
      name: "Get notified of calls while this tab is in the background?",
    });
    await expect(question).toBeInViewport();
    expect(await ada.page.evaluate(() => window.instrumentation.layoutShiftSum), "there is no layout shift").toBe(0);
    await question.getByRole("button", { name: answer }).click();
    await expect(question).toHaveCount(0);
    expect(await ada.page.evaluate(() => Notification.permission)).toBe(permission);
    await ada.open("/chat");
    await expect(ada.page.getByText("People here")).toBeVisible();
    await expect(ada.page.locator(".chat-rooms").getByText("Nobody else is here right now")).toBeVisible();
    await expect(question, "it is not asked again").toHaveCount(0);
    await ada.open("/settings");
    await expect(ada.page.getByRole("button", { name: "Notify me when this tab is in the background" })).toBeVisible();
  });
}
