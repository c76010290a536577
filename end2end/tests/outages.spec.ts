/** Chat while the network or the server is away: nothing is lost, nothing is doubled, everything is in order. */
import { type Visitor, expect, test } from "./support/fixtures.ts";

const numbered = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, at) => `Message ${from + at}`);

/** Both read the same, also after loading the room anew. */
async function read(visitors: Visitor[], texts: string[]): Promise<void> {
  for (const { chat } of visitors) {
    await expect.poll(() => chat.said(), { timeout: 20_000 }).toEqual(texts);
  }
  for (const visitor of visitors) {
    await visitor.open("/chat/general");
    await expect.poll(() => visitor.chat.said()).toEqual(texts);
  }
}

test("what is written offline is shown as pending and sent in order when the network is back", async ({ join }) => {
  const [ada, grace] = [await join("Ada"), await join("Grace")];
  await ada.chat.sayAll(numbered(1, 3));
  await ada.chat.allSent();
  await ada.offline();
  await ada.chat.say("Message 4");
  const waiting = ada.chat.message("Message 4");
  await expect(waiting).toHaveClass(/pending/);
  await expect(waiting).toContainText("Sending…");
  await ada.chat.sayAll(numbered(5, 8));
  await expect(ada.page.getByText("You are offline. Your messages are kept")).toBeVisible();
  await grace.chat.say("Message 9");
  await grace.chat.allSent();
  await expect(ada.chat.message("Message 9")).toHaveCount(0);
  await ada.online();
  await ada.chat.allSent();
  await expect(ada.page.getByText("You are offline")).toHaveCount(0);
  await read([ada, grace], ["Message 1", "Message 2", "Message 3", "Message 9", ...numbered(4, 8)]);
});

test("both sides write while the network comes and goes, and both read the same", async ({ join }) => {
  const [ada, grace] = [await join("Ada"), await join("Grace")];
  for (const round of [1, 2, 3]) {
    await ada.offline();
    await ada.chat.sayAll([`Ada ${round}a`, `Ada ${round}b`]);
    await grace.chat.sayAll([`Grace ${round}a`, `Grace ${round}b`]);
    await grace.chat.allSent();
    await ada.online();
    await ada.chat.allSent();
  }
  const rounds = [1, 2, 3].flatMap((n) => [`Grace ${n}a`, `Grace ${n}b`, `Ada ${n}a`, `Ada ${n}b`]);
  await read([ada, grace], rounds);
});

test("a server that is killed in the middle loses and doubles nothing", async ({ join, server }) => {
  const [ada, grace] = [await join("Ada"), await join("Grace")];
  ada.expectsOutage();
  grace.expectsOutage();
  await ada.chat.sayAll(numbered(1, 20));
  // Some of these are acknowledged, some are not, and some were never heard.
  await server.kill();
  await ada.chat.sayAll(numbered(21, 30));
  await expect(ada.page.getByText("You are offline. Your messages are kept")).toBeVisible();
  await server.run();
  await ada.chat.sayAll(numbered(31, 40));
  await ada.chat.allSent();
  await read([ada, grace], numbered(1, 40));
});

test("what could not be sent before a reload is sent after it", async ({ join, server }) => {
  const [ada, grace] = [await join("Ada"), await join("Grace")];
  ada.expectsOutage();
  grace.expectsOutage();
  await server.kill();
  await ada.chat.say("Message 1");
  await expect(ada.chat.message("Message 1")).toHaveClass(/pending/);
  await server.run();
  await ada.open("/chat/general");
  await read([ada, grace], ["Message 1"]);
});

test.describe("with a strict limit", () => {
  test.use({ settings: { RIALTO_SEND_BURST: "1" } });

  test("a message that is refused says so and why, and is sent by Retry or taken away by Discard", async ({ join }) => {
    const [ada, grace] = [await join("Ada"), await join("Grace")];
    // One is allowed in 20 ms: of so many at once, some are refused.
    await ada.chat.sayAll(numbered(1, 30));
    await expect(ada.chat.timeline.locator(".message.pending")).toHaveCount(0);
    const failed = ada.chat.timeline.locator(".message.failed");
    await expect.poll(() => failed.count()).toBeGreaterThan(1);
    await expect(failed.first()).toContainText("Not sent. That was too fast");
    const [first, second] = await failed.locator(".message-text").allTextContents();
    const sent = await ada.chat.said();
    const count = await failed.count();
    await failed.first().getByRole("button", { name: "Retry" }).click();
    await expect(grace.chat.timeline.getByText(first ?? "", { exact: true })).toBeVisible();
    await expect(failed).toHaveCount(count - 1);
    await failed.first().getByRole("button", { name: "Discard" }).click();
    await expect(failed).toHaveCount(count - 2);
    await expect(ada.chat.timeline.getByText(second ?? "", { exact: true })).toHaveCount(0);
    await read([ada, grace], [...sent, first ?? ""]);
  });
});

test.describe("with a short memory", () => {
  test.use({ settings: { RIALTO_REPLAY_EVENTS: "20" } });

  test("a room that fell too far behind to be replayed is read anew, without a hole", async ({ join }) => {
    const [ada, grace] = [await join("Ada"), await join("Grace")];
    await ada.chat.say("Message 0");
    await expect(grace.chat.message("Message 0")).toBeVisible();
    await grace.offline();
    await ada.chat.sayAll(numbered(1, 80));
    await ada.chat.allSent();
    await grace.online();
    await expect.poll(() => grace.chat.said(), "a page of the newest").toEqual(numbered(31, 80));
    await expect(grace.chat.message("Message 80")).toBeInViewport();
    await grace.page.getByRole("link", { name: "Older messages" }).click();
    await expect.poll(() => grace.chat.said()).toEqual(numbered(0, 80));
  });
});

test("who was at the end of a room is at its end again after a long absence", async ({ join }) => {
  const [ada, grace] = [await join("Ada"), await join("Grace")];
  await grace.offline();
  await ada.chat.sayAll(numbered(1, 120));
  await ada.chat.allSent();
  await grace.online();
  await expect.poll(() => grace.chat.said(), { timeout: 20_000 }).toEqual(numbered(1, 120));
  await expect(grace.chat.message("Message 120")).toBeInViewport();
});

test("what was opened while the network was away comes by itself when it is back", async ({ join }) => {
  const [ada, grace] = [await join("Ada", { at: "/settings" }), await join("Grace")];
  const { page, chat } = ada;
  const menu = page.getByRole("navigation", { name: "Main" });
  const failed = page.getByRole("main").getByRole("alert");
  await grace.chat.say("Are you there?");
  await grace.chat.allSent();
  /** Opens something offline, where it cannot be had, also not by asking again. */
  const openOffline = async (open: () => Promise<void>) => {
    await ada.offline();
    await open();
    await expect(failed.first()).toContainText("The server could not be reached");
    await failed.first().getByRole("button", { name: "Try again" }).click();
    await expect(failed.first()).toContainText("The server could not be reached");
    await ada.online();
    await expect(failed).toHaveCount(0, { timeout: 20_000 });
  };
  await openOffline(() => menu.getByRole("link", { name: "Chat" }).click());
  await openOffline(() => chat.room("General").click());
  await expect(chat.message("Are you there?")).toBeVisible();
  await openOffline(() => menu.getByRole("link", { name: "Calls" }).click());
  await expect(page.getByText("No calls yet")).toBeVisible();
  await expect(page.locator(".call-row-name").filter({ hasText: "Grace" })).toBeVisible();
});

test("a room that could not be had is asked for again by a button", async ({ join }) => {
  const [ada, grace] = [await join("Ada", { at: "/chat" }), await join("Grace")];
  const { page, chat, trouble } = ada;
  await grace.chat.say("Are you there?");
  await grace.chat.allSent();
  trouble.allow(/ERR_FAILED/, "the room's address is cut off");
  const room = /\/fn\/room(\?|$)/;
  await page.route(room, (route) => route.abort());
  await chat.room("General").click();
  const again = page.getByRole("main").getByRole("button", { name: "Try again" });
  await expect(again).toBeVisible();
  await page.unroute(room);
  await again.click();
  await expect(chat.message("Are you there?")).toBeVisible();
  await expect(again).toHaveCount(0);
});

test("a page whose given up connection is heard of late, after the one that took its place, connects again", async ({
  join,
}) => {
  const [ada, grace] = [await join("Ada"), await join("Grace")];
  let connections = 0;
  await ada.page.routeWebSocket("**/ws", (page) => {
    const server = page.connectToServer();
    connections += 1;
    const isFirst = connections === 1;
    server.onMessage((message) => {
      page.send(message);
      const isWelcome = String(message).startsWith('{"type":"welcome"');
      if (isFirst && isWelcome) void page.close({ code: 4000, reason: "this page connected again" });
    });
  });
  await ada.page.reload();
  await expect.poll(() => ada.page.evaluate(() => window.observed.welcomes)).toBe(2);
  await grace.chat.say("Are you there?");
  await expect(ada.chat.message("Are you there?")).toBeVisible();
  await ada.chat.say("I am.");
  await expect(grace.chat.message("I am.")).toBeVisible();
});
