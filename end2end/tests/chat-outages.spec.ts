/** Chat during outages of the network and the server: no message is lost, duplicated or out of order. */
import { type Visitor, expect, test } from "./support/fixtures.ts";

const numberedTexts = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, at) => `Message ${from + at}`);

/** All visitors see the same texts, also after they reload the room. */
async function expectSameTexts(visitors: Visitor[], texts: string[]): Promise<void> {
  for (const { chat } of visitors) {
    await expect.poll(() => chat.sentTexts(), { timeout: 20_000 }).toEqual(texts);
  }
  for (const visitor of visitors) {
    await visitor.open("/chat/general");
    await expect.poll(() => visitor.chat.sentTexts()).toEqual(texts);
  }
}

test(
  "messages written offline are shown as pending and sent in order when the network is back",
  { tag: "@nodes" },
  async ({ join }) => {
    const [ada, grace] = [await join("Ada"), await join("Grace")];
    await ada.chat.sendMessages(numberedTexts(1, 3));
    await ada.chat.expectAllAcknowledged();
    await ada.goOffline();
    await ada.chat.sendMessage("Message 4");
    const waiting = ada.chat.message("Message 4");
    await expect(waiting).toHaveClass(/pending/);
    await expect(waiting).toContainText("Sending…");
    await ada.chat.sendMessages(numberedTexts(5, 8));
    await expect(ada.page.getByText("You are offline. Your messages are saved")).toBeVisible();
    await grace.chat.sendMessage("Message 9");
    await grace.chat.expectAllAcknowledged();
    await expect(ada.chat.message("Message 9")).toHaveCount(0);
    await ada.goOnline();
    await ada.chat.expectAllAcknowledged();
    await expect(ada.page.getByText("You are offline")).toHaveCount(0);
    await expectSameTexts([ada, grace], ["Message 1", "Message 2", "Message 3", "Message 9", ...numberedTexts(4, 8)]);
  },
);

test(
  "both sides write through repeated outages and end up with the same messages",
  { tag: "@nodes" },
  async ({ join }) => {
    const [ada, grace] = [await join("Ada"), await join("Grace")];
    for (const round of [1, 2, 3]) {
      await ada.goOffline();
      await ada.chat.sendMessages([`Ada ${round}a`, `Ada ${round}b`]);
      await grace.chat.sendMessages([`Grace ${round}a`, `Grace ${round}b`]);
      await grace.chat.expectAllAcknowledged();
      await ada.goOnline();
      await ada.chat.expectAllAcknowledged();
    }
    const rounds = [1, 2, 3].flatMap((n) => [`Grace ${n}a`, `Grace ${n}b`, `Ada ${n}a`, `Ada ${n}b`]);
    await expectSameTexts([ada, grace], rounds);
  },
);

test(
  "a server that is killed while messages are sent loses and duplicates none",
  { tag: "@nodes" },
  async ({ join, server }) => {
    const [ada, grace] = [await join("Ada"), await join("Grace")];
    ada.allowOutageErrors();
    grace.allowOutageErrors();
    await ada.chat.sendMessages(numberedTexts(1, 20));
    // Some of these are acknowledged, some only received, and some never received.
    await server.kill();
    await ada.chat.sendMessages(numberedTexts(21, 30));
    await expect(ada.page.getByText("You are offline. Your messages are saved")).toBeVisible();
    await server.launch();
    await ada.chat.sendMessages(numberedTexts(31, 40));
    await ada.chat.expectAllAcknowledged();
    await expectSameTexts([ada, grace], numberedTexts(1, 40));
  },
);

test("a message that is pending before a reload is sent after it", { tag: "@nodes" }, async ({ join, server }) => {
  const [ada, grace] = [await join("Ada"), await join("Grace")];
  ada.allowOutageErrors();
  grace.allowOutageErrors();
  await server.kill();
  await ada.chat.sendMessage("Message 1");
  await expect(ada.chat.message("Message 1")).toHaveClass(/pending/);
  await server.launch();
  await ada.open("/chat/general");
  await expectSameTexts([ada, grace], ["Message 1"]);
});

test("a message written before the first connection survives a reload and is sent once", async ({ join }) => {
  const [ada, grace] = [await join("Ada"), await join("Grace")];
  const { page, chat } = ada;
  let isBlocked = true;
  await page.routeWebSocket("**/ws", (socket) => {
    if (isBlocked) void socket.close({ code: 1012 });
    else socket.connectToServer();
  });
  await page.reload();
  await expect(page.getByText("You are offline.")).toBeVisible();
  await chat.sendMessage("Message 1");
  await expect(page.getByText("Your messages are saved")).toBeVisible();
  await page.reload();
  await expect(chat.message("Message 1")).toHaveClass(/pending/);
  isBlocked = false;
  await chat.expectAllAcknowledged();
  await expectSameTexts([ada, grace], ["Message 1"]);
});

test("a page that the server has no place for, or does not know, says so", async ({ join }) => {
  const { page } = await join("Ada");
  let code = 1013;
  await page.routeWebSocket("**/ws", (socket) => void socket.close({ code }));
  await page.reload();
  await expect(page.getByText("Too many pages are open. Close some of them")).toBeVisible();
  code = 4004;
  await page.reload();
  await expect(page.getByText("The server does not know this page's address.")).toBeVisible();
});

test("a room that was read just before an outage is read on the server after it", async ({ join }) => {
  const [ada, grace] = [await join("Ada"), await join("Grace")];
  const phone = await ada.openTab("/settings");
  const badge = phone.page.locator(".badge");
  // Holds timers of a second back, among them the end of the interval between two read cursors.
  await ada.page.evaluate(() => {
    const setTimer = window.setTimeout.bind(window);
    const held: TimerHandler[] = [];
    window.setTimeout = ((then: TimerHandler, delay?: number) =>
      delay === 1_000 ? held.push(then) : setTimer(then, delay)) as typeof setTimeout;
    window.addEventListener("test:release", () => {
      for (const then of held.splice(0)) setTimer(then, 0);
    });
  });
  await grace.chat.sendMessage("Message 1");
  await expect(ada.chat.message("Message 1")).toBeVisible();
  await grace.chat.sendMessage("Message 2");
  await expect(ada.chat.message("Message 2")).toBeVisible();
  await expect(badge).toHaveText("1 unread");
  const goOnline = await ada.takeTabOffline();
  await expect(ada.page.getByText("You are offline.")).toBeVisible();
  await ada.setVisibility(false);
  await ada.page.evaluate(() => window.dispatchEvent(new Event("test:release")));
  await goOnline();
  await expect(badge).toHaveCount(0);
});

test("messages that the store cannot take are sent again, and can be discarded", async ({ join }) => {
  const [ada, grace] = [await join("Ada"), await join("Grace")];
  const { page, chat } = ada;
  const attempts = new Map<string, number>();
  await page.routeWebSocket("**/ws", (socket) => {
    const server = socket.connectToServer();
    socket.onMessage((message) => {
      const frame = JSON.parse(String(message)) as { type: string; id: string; text: string };
      if (frame.type !== "send") return server.send(message);
      const attempt = (attempts.get(frame.text) ?? 0) + 1;
      attempts.set(frame.text, attempt);
      if (frame.text === "Message 1" && attempt === 3) server.send(message);
      else socket.send(JSON.stringify({ type: "refused", id: frame.id, code: "unavailable", reason: "Try later." }));
    });
  });
  await page.reload();
  await ada.waitUntilConnected();
  await chat.sendMessages(["Message 1", "Message 2"]);
  await expect(chat.message("Message 2")).toContainText("Not sent yet");
  await expect(grace.chat.message("Message 1")).toHaveCount(1);
  await chat.message("Message 2").getByRole("button", { name: "Discard" }).click();
  await chat.expectAllAcknowledged();
  await expectSameTexts([ada, grace], ["Message 1"]);
});

test("a refused message shows why, and can be retried or discarded", async ({ join }) => {
  const [ada, grace] = [await join("Ada"), await join("Grace")];
  const { page, chat } = ada;
  const refused = new Set<string>();
  await page.routeWebSocket("**/ws", (socket) => {
    const server = socket.connectToServer();
    socket.onMessage((message) => {
      const frame = JSON.parse(String(message)) as { type: string; id: string; text: string };
      if (frame.type !== "send" || refused.has(frame.text)) return server.send(message);
      refused.add(frame.text);
      socket.send(JSON.stringify({ type: "refused", id: frame.id, code: "invalid", reason: "Write something else." }));
    });
  });
  await page.reload();
  await ada.waitUntilConnected();
  await chat.sendMessages(["Message 1", "Message 2"]);
  const failed = chat.timeline.locator(".message.failed");
  await expect(failed).toHaveCount(2);
  await expect(failed.first()).toContainText("Not sent. Write something else.");
  await failed.first().getByRole("button", { name: "Retry" }).click();
  await expect(grace.chat.message("Message 1")).toHaveCount(1);
  await expect(failed).toHaveCount(1);
  await failed.getByRole("button", { name: "Discard" }).click();
  await chat.expectAllAcknowledged();
  await expectSameTexts([ada, grace], ["Message 1"]);
});

test.describe("with a strict limit", () => {
  test.use({ serverEnv: { RIALTO_LIMITS: "messages=1" } });

  test("messages that are written too fast are sent in order, and none fails", async ({ join }) => {
    const [ada, grace] = [await join("Ada"), await join("Grace")];
    // The limit is one in 20 ms, so most of these are refused at first.
    await ada.chat.sendMessages(numberedTexts(1, 30));
    await expect(ada.chat.timeline.locator(".message.failed, .message.delayed")).toHaveCount(0);
    await ada.chat.expectAllAcknowledged();
    await expectSameTexts([ada, grace], numberedTexts(1, 30));
  });
});

test.describe("with a replay of 20 events", { tag: "@nodes" }, () => {
  test.use({ serverEnv: { RIALTO_REPLAY_EVENTS: "20" } });

  test("a room that fell too far behind to be replayed is refetched, without a gap", async ({ join }) => {
    const [ada, grace] = [await join("Ada"), await join("Grace")];
    await ada.chat.sendMessage("Message 0");
    await expect(grace.chat.message("Message 0")).toBeVisible();
    await grace.goOffline();
    await ada.chat.sendMessages(numberedTexts(1, 80));
    await ada.chat.expectAllAcknowledged();
    await grace.goOnline();
    await expect.poll(() => grace.chat.sentTexts(), "the newest page of messages").toEqual(numberedTexts(31, 80));
    await expect(grace.chat.message("Message 80")).toBeInViewport();
    await grace.page.getByRole("link", { name: "Older messages" }).click();
    await expect.poll(() => grace.chat.sentTexts()).toEqual(numberedTexts(0, 80));
  });

  test("a hidden room that is refetched stays unread", async ({ join }) => {
    const [ada, grace] = [await join("Ada"), await join("Grace")];
    await grace.setVisibility(false);
    await grace.goOffline();
    await ada.chat.sendMessages(numberedTexts(1, 30));
    await ada.chat.expectAllAcknowledged();
    await grace.goOnline();
    await expect.poll(() => grace.chat.sentTexts()).toEqual(numberedTexts(1, 30));
    const tab = await grace.openTab("/");
    await expect(tab.page.locator(".badge")).toHaveText("30 unread");
  });

  test("a room that is refetched leaves the composer of another one alone", async ({ join }) => {
    const [ada, grace] = [await join("Ada"), await join("Grace")];
    await ada.chat.openDirectRoom("Grace");
    await grace.chat.sendMessage("Message 0");
    await expect(ada.chat.roomLink("General").locator(".badge")).toHaveText("1 unread");
    await ada.chat.composer.fill("Half a thought");
    await ada.chat.composer.press("Home");
    const requests: string[] = [];
    ada.page.on("request", (request) => requests.push(new URL(request.url()).pathname));
    await ada.goOffline();
    await grace.chat.sendMessages(numberedTexts(1, 30));
    await grace.chat.expectAllAcknowledged();
    await ada.goOnline();
    await expect(ada.chat.roomLink("General").locator(".badge")).toHaveText("31 unread");
    await grace.chat.openDirectRoom("Ada");
    await grace.chat.sendMessage("Are you there?");
    await expect(ada.chat.message("Are you there?")).toBeVisible();
    expect(requests).not.toContain("/fn/room");
    await expect(ada.chat.composer).toBeFocused();
    await expect(ada.chat.composer).toHaveValue("Half a thought");
    expect(await ada.chat.composer.evaluate((field: HTMLTextAreaElement) => field.selectionStart)).toBe(0);
    await ada.chat.roomLink("General").click();
    await expect.poll(() => ada.chat.sentTexts()).toEqual(numberedTexts(0, 30));
  });
});

test(
  "a room that was scrolled to its end is at its end again after a long outage",
  { tag: "@nodes" },
  async ({ join }) => {
    const [ada, grace] = [await join("Ada"), await join("Grace")];
    await grace.goOffline();
    await ada.chat.sendMessages(numberedTexts(1, 120));
    await ada.chat.expectAllAcknowledged();
    await grace.goOnline();
    await expect.poll(() => grace.chat.sentTexts(), { timeout: 20_000 }).toEqual(numberedTexts(1, 120));
    await expect(grace.chat.message("Message 120")).toBeInViewport();
  },
);

test("pages and rooms opened during a network outage are refetched when it ends", async ({ join }) => {
  const [ada, grace] = [await join("Ada", { startPath: "/settings" }), await join("Grace")];
  const { page, chat } = ada;
  const menu = page.getByRole("navigation", { name: "Main" });
  const failed = page.getByRole("main").getByRole("alert");
  await grace.chat.sendMessage("Are you there?");
  await grace.chat.expectAllAcknowledged();
  /** Opens something offline, which fails, also on retry, and is fetched once online. */
  const openOffline = async (open: () => Promise<void>) => {
    await ada.goOffline();
    await open();
    await expect(failed.first()).toContainText("The server could not be reached");
    await failed.first().getByRole("button", { name: "Try again" }).click();
    await expect(failed.first()).toContainText("The server could not be reached");
    await ada.goOnline();
    await expect(failed).toHaveCount(0, { timeout: 20_000 });
  };
  await openOffline(() => menu.getByRole("link", { name: "Chat" }).click());
  await openOffline(() => chat.roomLink("General").click());
  await expect(chat.message("Are you there?")).toBeVisible();
  await openOffline(() => menu.getByRole("link", { name: "Calls" }).click());
  await expect(page.getByText("No calls yet")).toBeVisible();
  await expect(page.locator(".call-row-name").filter({ hasText: "Grace" })).toBeVisible();
});

test("a room that failed to load is refetched by a button", async ({ join }) => {
  const [ada, grace] = [await join("Ada", { startPath: "/chat" }), await join("Grace")];
  const { page, chat, browserErrors } = ada;
  await grace.chat.sendMessage("Are you there?");
  await grace.chat.expectAllAcknowledged();
  browserErrors.allow(/ERR_FAILED/, "requests for the room are blocked");
  const room = /\/fn\/room(\?|$)/;
  await page.route(room, (route) => route.abort());
  await chat.roomLink("General").click();
  const retryButton = page.getByRole("main").getByRole("button", { name: "Try again" });
  await expect(retryButton).toBeVisible();
  await page.unroute(room);
  await retryButton.click();
  await expect(chat.message("Are you there?")).toBeVisible();
  await expect(retryButton).toHaveCount(0);
});

test("a page whose older connection arrives late and replaces the newer one reconnects", async ({ join }) => {
  const [ada, grace] = [await join("Ada"), await join("Grace")];
  let connections = 0;
  await ada.page.routeWebSocket("**/ws", (socket) => {
    const server = socket.connectToServer();
    connections += 1;
    const isFirst = connections === 1;
    server.onMessage((message) => {
      socket.send(message);
      const isWelcome = String(message).startsWith('{"type":"welcome"');
      if (isFirst && isWelcome) void socket.close({ code: 4000, reason: "this page connected again" });
    });
  });
  await ada.page.reload();
  await expect.poll(() => ada.page.evaluate(() => window.instrumentation.welcomeCount)).toBe(2);
  await grace.chat.sendMessage("Are you there?");
  await expect(ada.chat.message("Are you there?")).toBeVisible();
  await ada.chat.sendMessage("I am.");
  await expect(grace.chat.message("I am.")).toBeVisible();
});
