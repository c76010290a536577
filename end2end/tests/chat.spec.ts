/** Chat without outages, which are in chat-outages.spec.ts. */
import type { Page, Route } from "@playwright/test";
import { type Visitor, expect, test } from "./support/fixtures.ts";

/** Distance of a message text from the top of the viewport, in CSS pixels. */
async function topOf(page: Page, text: string): Promise<number> {
  const box = await page.getByRole("log").getByText(text, { exact: true }).boundingBox();
  if (box === null) throw new Error(`"${text}" is not visible`);
  return box.y;
}

/** Sends many messages at once and waits for their acknowledgements. */
async function sendAcknowledged(visitor: Visitor, texts: string[]): Promise<void> {
  await visitor.chat.sendMessages(texts);
  await visitor.chat.expectAllAcknowledged();
}

interface Cost {
  /** Nodes of the timeline that were added or removed. */
  changedNodes: number;
  milliseconds: number;
}

/** Clicks "Older messages". The time is from the answer to the frame that shows it. */
async function measureOlderPage(): Promise<Cost> {
  const [timeline, link] = [document.querySelector(".timeline"), document.querySelector<HTMLElement>("a.older")];
  if (timeline === null || link === null) throw new Error("there are no older messages");
  const countMessages = () => timeline.querySelectorAll(".message").length;
  const before = countMessages();
  let changedNodes = 0;
  const shown = new Promise<void>((done) => {
    new MutationObserver((records) => {
      for (const { target, addedNodes, removedNodes } of records)
        if (target === timeline) changedNodes += addedNodes.length + removedNodes.length;
      if (countMessages() >= before + 50) done();
    }).observe(timeline, { childList: true });
  });
  performance.clearResourceTimings();
  link.click();
  await shown;
  // The task after a frame.
  await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  const shownAt = performance.now();
  const answers = performance.getEntriesByType("resource") as PerformanceResourceTiming[];
  const answer = answers.find(({ name }) => name.includes("/fn/room"));
  return { changedNodes, milliseconds: shownAt - (answer?.responseEnd ?? NaN) };
}

/** Types 20 letters, and lays the page out after each. The time is that of the fastest of three rounds. */
async function measureKeys(): Promise<Cost> {
  const [timeline, field] = [document.querySelector(".timeline"), document.querySelector("textarea")];
  if (timeline === null || field === null) throw new Error("no room is shown");
  let changedNodes = 0;
  const observer = new MutationObserver((records) => (changedNodes += records.length));
  observer.observe(timeline, { childList: true, subtree: true, attributes: true, characterData: true });
  let milliseconds = Infinity;
  for (let round = 0; round < 3; round += 1) {
    field.focus();
    const before = performance.now();
    for (let key = 0; key < 20; key += 1) {
      document.execCommand("insertText", false, "a");
      void timeline.scrollHeight;
    }
    milliseconds = Math.min(milliseconds, performance.now() - before);
    await new Promise((done) => requestAnimationFrame(done));
  }
  field.value = "";
  field.dispatchEvent(new InputEvent("input", { bubbles: true }));
  observer.disconnect();
  return { changedNodes, milliseconds };
}

/** Sends messages over a connection of their own, which shows none of them. */
async function sendWithoutPage(page: Page, room: string, texts: string[]): Promise<void> {
  const refused = await page.evaluate(
    async ([room, texts]) => {
      const socket = new WebSocket("/ws", "rialto.v1");
      await new Promise((done) => socket.addEventListener("open", done));
      socket.send(JSON.stringify({ type: "hello", client: crypto.randomUUID() }));
      for (const text of texts) socket.send(JSON.stringify({ type: "send", id: crypto.randomUUID(), room, text }));
      let unanswered = texts.length;
      const refused = await new Promise<string>((done) => {
        socket.addEventListener("message", ({ data }: MessageEvent<string>) => {
          const { type } = JSON.parse(data) as { type: string };
          if (type === "refused") done(data);
          if (type === "sent") unanswered -= 1;
          if (unanswered === 0) done("");
        });
      });
      socket.close();
      return refused;
    },
    [room, texts] as const,
  );
  expect(refused).toBe("");
}

const numberedTexts = (count: number, word = "Line") => Array.from({ length: count }, (_, at) => `${word} ${at + 1}`);

test("a message that is too long is kept, and counted as the server counts", async ({ join }) => {
  const [ada, grace] = [await join("Ada"), await join("Grace")];
  const { chat, page } = ada;
  // Each is one character, and two UTF-16 code units.
  const longest = "😀".repeat(4_000);
  await chat.sendMessage(longest);
  await expect(grace.chat.messages.locator(".message-text").first()).toHaveText(longest);

  const tooLong = "a".repeat(20_000);
  await chat.composer.fill(tooLong);
  await expect(chat.composer).toHaveAttribute("aria-invalid", "true");
  await expect(chat.composer).toHaveAccessibleDescription(/^16,000 characters too many. The limit is 4,000. Split/);
  const announced = page.locator(".composer [aria-live=polite]").filter({ hasText: "too many" });
  await expect(announced).toHaveText("16,000 characters too many. The limit is 4,000.");
  await chat.composer.press("End");
  await chat.composer.press("b");
  await expect(chat.composer).toHaveAccessibleDescription(/^16,001 characters/);
  await expect(announced, "not with each key").toHaveText("16,000 characters too many. The limit is 4,000.");
  await chat.composer.press("Enter");
  await expect(page.getByText("Not sent: the text is too long.")).toBeVisible();
  await page.getByRole("button", { name: "Send", exact: true }).click();
  await page.reload();
  await ada.waitUntilConnected();
  await expect(chat.composer, "the draft is kept").toHaveAccessibleDescription(/^16,001 characters/);
  expect(await chat.composer.inputValue()).toHaveLength(20_001);
  await chat.sendMessage("a".repeat(4_000));
  await expect(chat.composer).not.toHaveAttribute("aria-invalid");
  await chat.expectAllAcknowledged();
  expect(await chat.sentTexts()).toEqual([longest, "a".repeat(4_000)]);
});

test(
  "unread messages are counted on every page, marked where they begin, and read once seen",
  { tag: "@nodes" },
  async ({ join }) => {
    const ada = await join("Ada");
    const grace = await join("Grace");
    await ada.chat.sendMessage("You have read this");
    await expect(grace.chat.message("You have read this")).toBeVisible();
    await grace.page.getByRole("link", { name: "News", exact: true }).click();
    await sendAcknowledged(ada, ["One", "Two", "Three"]);
    const badge = grace.page.getByRole("navigation", { name: "Main" }).locator(".badge");
    await expect(badge).toHaveText("3 unread");
    await grace.page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Chat" }).click();
    await expect(grace.chat.roomLink("General").locator(".badge")).toHaveText("3 unread");
    await grace.chat.roomLink("General").click();
    await expect(grace.chat.message("Three")).toBeVisible();
    const rows = grace.chat.timeline.locator(".message-text, .new-marker");
    await expect(rows).toHaveText(["You have read this", "New", "One", "Two", "Three"]);
    await expect(grace.page.locator(".badge")).toHaveCount(0);
  },
);

test("a room marks where new messages begin each time it is opened", { tag: "@nodes" }, async ({ join }) => {
  const [ada, grace] = [await join("Ada"), await join("Grace", { startPath: "/chat" })];
  for (const round of [1, 2, 3]) {
    await sendAcknowledged(ada, [`${round}a`, `${round}b`]);
    await expect(grace.chat.roomLink("General").locator(".badge")).toHaveText("2 unread");
    await grace.open("/chat/general");
    await expect(grace.chat.timeline.locator(".new-marker + .message .message-text")).toHaveText(`${round}a`);
    await expect(grace.page.locator(".badge")).toHaveCount(0);
    await grace.open("/chat");
  }
});

test("a message sent in one tab appears in the other once, and as one's own", { tag: "@nodes" }, async ({ join }) => {
  const ada = await join("Ada");
  const tab = await ada.openTab("/chat/general");
  await sendAcknowledged(ada, ["One", "Two"]);
  await expect(tab.chat.timeline.locator(".message.mine .message-text")).toHaveText(["One", "Two"]);
  await expect(tab.page.locator(".badge, .new-marker")).toHaveCount(0);
});

test("a message read in one tab is read in the other", { tag: "@nodes" }, async ({ join }) => {
  const ada = await join("Ada");
  const grace = await join("Grace", { startPath: "/" });
  await ada.chat.sendMessage("Hello");
  const badge = grace.page.locator(".badge");
  await expect(badge).toHaveText("1 unread");
  const tab = await grace.openTab("/chat/general");
  await expect(tab.chat.message("Hello")).toBeVisible();
  await expect(badge).toHaveCount(0);
});

test("new messages do not move a timeline that is scrolled up, and a button jumps to the latest", async ({ join }) => {
  const [ada, grace] = [await join("Ada"), await join("Grace")];
  await sendAcknowledged(ada, numberedTexts(60));
  await expect(grace.chat.message("Line 60")).toBeInViewport();
  await grace.chat.timeline.getByText("Line 30", { exact: true }).scrollIntoViewIfNeeded();
  await expect(grace.page.locator(".jump")).toBeVisible();
  const before = await topOf(grace.page, "Line 30");
  await sendAcknowledged(ada, ["After 1", "After 2"]);
  await expect(grace.page.locator(".jump")).toHaveText("2 new messages");
  expect(await topOf(grace.page, "Line 30"), "the timeline does not move").toBe(before);
  await grace.page.locator(".jump").click();
  await expect(grace.chat.message("After 2")).toBeInViewport();
  await expect(grace.page.locator(".jump")).toHaveCount(0);
  await ada.chat.sendMessage("Followed");
  await expect(grace.chat.message("Followed")).toBeInViewport();
});

test("older messages load above, up to the first, without moving the view", async ({ join }) => {
  const ada = await join("Ada");
  await sendAcknowledged(ada, numberedTexts(130));
  await ada.open("/chat/general");
  const { page, chat } = ada;
  await expect(chat.message("Line 130")).toBeInViewport();
  await expect(chat.messages).toHaveCount(50);
  for (const [first, count] of [
    [81, 100],
    [31, 130],
  ] as const) {
    await page.getByRole("link", { name: "Older messages" }).scrollIntoViewIfNeeded();
    const before = await topOf(page, `Line ${first}`);
    await page.getByRole("link", { name: "Older messages" }).click();
    await expect(chat.messages).toHaveCount(count);
    await expect
      .poll(async () => Math.abs((await topOf(page, `Line ${first}`)) - before), "the view does not move")
      .toBeLessThan(3);
  }
  await expect(page.getByRole("link", { name: "Older messages" })).toHaveCount(0);
  expect(await chat.sentTexts()).toEqual(numberedTexts(130));
});

test.describe("a room with a long history", () => {
  test.use({ serverEnv: { RIALTO_LIMITS: "sign-ins=10000,messages=10000,frames=10000" } });

  test("an older page and a key press change and cost as much as when little was loaded", async ({ join }) => {
    const ada = await join("Ada");
    const { page, chat } = ada;
    const room = await page.locator(".composer input[name=room]").inputValue();
    await ada.open("/settings");
    await sendWithoutPage(page, room, numberedTexts(1000));
    await ada.open("/chat/general");
    await expect(chat.messages).toHaveCount(50);
    const fewLoaded = await page.evaluate(measureKeys);
    const costs: Cost[] = [];
    for (let loaded = 50; loaded < 1000; loaded += 50) costs.push(await page.evaluate(measureOlderPage));
    expect(await chat.sentTexts()).toEqual(numberedTexts(1000));
    const manyLoaded = await page.evaluate(measureKeys);
    expect(manyLoaded.changedNodes, "typing changes no message").toBe(0);
    // A page has 50 rows and the first row below it changes.
    const changedNodes = costs.map((cost) => cost.changedNodes);
    expect(Math.max(...changedNodes), `rows that were added or removed: ${changedNodes.join(", ")}`).toBeLessThan(70);
    const fastest = (some: Cost[]) => Math.min(...some.map((cost) => cost.milliseconds));
    const [early, late] = [fastest(costs.slice(1, 5)), fastest(costs.slice(-4))];
    expect(late, `an older page takes ${late} ms with all loaded, ${early} ms with little`).toBeLessThan(4 * early);
    const [few, many] = [fewLoaded.milliseconds, manyLoaded.milliseconds];
    expect(many, `keys take ${many} ms with all loaded, ${few} ms with little`).toBeLessThan(8 * few);
  });
});

test("a room left before its older messages arrive is left, and opens again", async ({ join }) => {
  const ada = await join("Ada");
  await sendAcknowledged(ada, numberedTexts(60));
  await ada.open("/chat/general");
  const { page, chat } = ada;
  await expect(chat.messages).toHaveCount(50);
  const historyUrl = /\/fn\/room(\?|$)/;
  let release: () => void = () => undefined;
  const held = new Promise<void>((done) => (release = done));
  const holdAnswer = async (route: Route) => {
    await held;
    await route.continue();
  };
  await page.route(historyUrl, holdAnswer, { times: 1 });
  const requested = page.waitForRequest(historyUrl);
  await page.getByRole("link", { name: "Older messages" }).click();
  await requested;
  const mainNavigation = page.getByRole("navigation", { name: "Main" });
  await mainNavigation.getByRole("link", { name: "News", exact: true }).click();
  await expect(chat.timeline).toHaveCount(0);
  release();
  await mainNavigation.getByRole("link", { name: "Chat" }).click();
  await chat.roomLink("General").click();
  await expect(chat.messages).toHaveCount(50);
  await page.getByRole("link", { name: "Older messages" }).click();
  await expect(chat.messages).toHaveCount(60);
  await chat.sendMessage("Still here");
  await chat.expectAllAcknowledged();
});

test("others see who is typing, and who is here, away or gone", { tag: "@nodes" }, async ({ join }) => {
  const [ada, grace] = [await join("Ada"), await join("Grace")];
  await expect(ada.chat.personRow("Grace").locator(".presence-dot.here")).toBeVisible();
  await expect(ada.page.getByText("2 people here")).toBeVisible();
  await grace.chat.composer.pressSequentially("I am wri");
  await expect(ada.page.getByText("Grace is typing…")).toBeVisible();
  await expect(grace.page.getByText("is typing…"), "one's own typing is not shown").toHaveCount(0);
  await grace.chat.sendMessage("I wrote");
  await expect(ada.chat.message("I wrote")).toBeVisible();
  await expect(ada.page.getByText("is typing…")).toHaveCount(0);

  await grace.setVisibility(false);
  await expect(ada.chat.personRow("Grace").locator(".presence-dot.away")).toBeVisible();
  await grace.setVisibility(true);
  await expect(ada.chat.personRow("Grace").locator(".presence-dot.here")).toBeVisible();
  await grace.page.close();
  await expect(ada.chat.personRow("Grace")).toHaveCount(0);
  await expect(ada.page.getByText("Nobody else is here right now")).toBeVisible();
});

test("times are shown in the reader's own time zone, with the day they belong to there", async ({ join }) => {
  const tokyo = await join("Akiko", { timezoneId: "Asia/Tokyo" });
  const anchorage = await join("Nanook", { timezoneId: "America/Anchorage" });
  await tokyo.chat.sendMessage("What time is it?");
  for (const [reader, timeZone] of [
    [tokyo, "Asia/Tokyo"],
    [anchorage, "America/Anchorage"],
  ] as const) {
    const time = reader.chat.message("What time is it?").locator("time");
    const at = new Date((await time.getAttribute("datetime")) ?? "");
    const wanted = at.toLocaleTimeString("en-GB", { timeZone, hour: "2-digit", minute: "2-digit" });
    await expect(time).toHaveText(wanted);
    await expect(reader.page.getByRole("heading", { name: "Today" })).toBeVisible();
  }
  // The clock of the page is set a day ahead.
  await tokyo.page.clock.setFixedTime(Date.now() + 24 * 60 * 60 * 1_000);
  await tokyo.open("/chat/general");
  await expect(tokyo.page.getByRole("heading", { name: "Yesterday" })).toBeVisible();
});

test("today becomes yesterday while a page is open", async ({ join }) => {
  const ada = await join("Ada");
  await ada.chat.sendMessage("Good evening");
  const day = ada.chat.timeline.locator(".day");
  await expect(day).toHaveText(["Today"]);
  // The page shows again after a night or two, as on a device that slept.
  const sleep = async (nights: number) => {
    await ada.page.clock.setFixedTime(Date.now() + nights * 24 * 60 * 60 * 1_000);
    await ada.setVisibility(false);
    await ada.setVisibility(true);
  };
  await sleep(1);
  await expect(day).toHaveText(["Yesterday"]);
  await sleep(2);
  await expect(day).toHaveText([/\d{4}/]);
});

test("who travels sees the times of the new zone on a page that is open", async ({ join }) => {
  // The zone is overridden here instead.
  const ada = await join("Ada", { timezoneId: undefined });
  await ada.chat.sendMessage("What time is it?");
  const time = ada.chat.message("What time is it?").locator("time");
  const at = new Date((await time.getAttribute("datetime")) ?? "");
  const devtools = await ada.context.newCDPSession(ada.page);
  for (const timeZone of ["Asia/Tokyo", "America/Anchorage"]) {
    await devtools.send("Emulation.setTimezoneOverride", { timezoneId: timeZone });
    await ada.setVisibility(false);
    await ada.setVisibility(true);
    await expect(time).toHaveText(at.toLocaleTimeString("en-GB", { timeZone, hour: "2-digit", minute: "2-digit" }));
  }
});

test("only web addresses become links, and they open safely", async ({ join }) => {
  const [ada, grace] = [await join("Ada"), await join("Grace")];
  await ada.chat.sendMessage("See https://example.org/a_(b)?c=1&d=2. Not javascript:alert(1) or <b>this</b>");
  for (const { chat } of [ada, grace]) {
    const message = chat.message("See https");
    const link = message.getByRole("link");
    await expect(link).toHaveCount(1);
    await expect(link).toHaveText("https://example.org/a_(b)?c=1&d=2");
    await expect(link).toHaveAttribute("href", "https://example.org/a_(b)?c=1&d=2");
    await expect(link).toHaveAttribute("target", "_blank");
    await expect(link).toHaveAttribute("rel", /noopener.*noreferrer/);
    await expect(message.locator("b")).toHaveCount(0);
    await expect(message).toContainText("Not javascript:alert(1) or <b>this</b>");
  }
});

test("Enter sends, but not during composition with an input method; Shift+Enter breaks the line", async ({ join }) => {
  const ada = await join("Ada");
  const { page, chat } = ada;
  const cdpSession = await page.context().newCDPSession(page);
  await chat.composer.focus();
  await cdpSession.send("Input.imeSetComposition", { text: "にほん", selectionStart: 3, selectionEnd: 3 });
  await expect(chat.composer).toHaveValue("にほん");
  // Enter confirms the composition: the page receives the key, but the input method consumes the line break.
  await cdpSession.send("Input.dispatchKeyEvent", {
    type: "rawKeyDown",
    key: "Enter",
    code: "Enter",
    windowsVirtualKeyCode: 13,
  });
  await cdpSession.send("Input.dispatchKeyEvent", {
    type: "keyUp",
    key: "Enter",
    code: "Enter",
    windowsVirtualKeyCode: 13,
  });
  await expect(chat.composer).toHaveValue("にほん");
  await expect(chat.messages).toHaveCount(0);
  await cdpSession.send("Input.insertText", { text: "日本" });
  await expect(chat.composer).toHaveValue("日本");
  await page.keyboard.press("Shift+Enter");
  await page.keyboard.type("line two");
  await expect(chat.messages).toHaveCount(0);
  await page.keyboard.press("Enter");
  await expect(chat.message("日本").locator(".message-text")).toHaveText("日本\nline two");
  await expect(chat.composer).toHaveValue("");
});

test("on a touch screen Enter breaks the line and the button sends", async ({ join }) => {
  const { page, chat } = await join("Ada", { hasTouch: true, isMobile: true, viewport: { width: 390, height: 844 } });
  await chat.composer.fill("one");
  await chat.composer.press("Enter");
  await page.keyboard.type("two");
  await expect(chat.composer).toHaveValue("one\ntwo");
  await expect(chat.messages).toHaveCount(0);
  await page.getByRole("button", { name: "Send", exact: true }).tap();
  await expect(chat.message("one").locator(".message-text")).toHaveText("one\ntwo");
});

test("a draft survives a reload and a visit to another page", async ({ join }) => {
  const ada = await join("Ada");
  const { page, chat } = ada;
  await chat.composer.fill("Not finished");
  await page.reload();
  await ada.waitUntilConnected();
  await expect(chat.composer).toHaveValue("Not finished");
  await page.getByRole("link", { name: "News", exact: true }).click();
  await expect(page.getByRole("heading", { name: "Latest news" })).toBeVisible();
  await page.goBack();
  await expect(chat.composer).toHaveValue("Not finished");
  await chat.composer.press("Enter");
  await ada.open("/chat/general");
  await expect(chat.message("Not finished")).toBeVisible();
  await expect(chat.composer).toHaveValue("");
});

test("a draft stays in the room it was written for", async ({ join }) => {
  const [ada, grace] = [await join("Ada"), await join("Grace")];
  await ada.chat.openDirectRoom("Grace");
  await ada.waitUntilConnected();
  await ada.chat.composer.fill("For Grace only");
  await ada.chat.roomLink("General").click();
  await expect(ada.page.getByRole("textbox", { name: "Message to General" })).toHaveValue("");
  await ada.chat.sendMessage("For all");
  await expect(grace.chat.message("For all")).toBeVisible();
  await ada.chat.roomLink("Grace").click();
  await expect(ada.page.getByRole("textbox", { name: "Message to Grace" })).toHaveValue("For Grace only");
});

test("a timeline at its end stays there when a banner or an on-screen keyboard shrinks it", async ({
  join,
  publisher,
}) => {
  const ada = await join("Ada");
  await sendAcknowledged(ada, numberedTexts(40));
  await expect(ada.chat.message("Line 40")).toBeInViewport({ ratio: 1 });
  await publisher.publish({ headline: "It breaks", urgency: "breaking" });
  await expect(ada.news.banner).toBeVisible();
  await expect(ada.chat.message("Line 40")).toBeInViewport({ ratio: 1 });
  await ada.page.setViewportSize({ width: 390, height: 844 });
  await expect(ada.chat.message("Line 40")).toBeInViewport({ ratio: 1 });
  await ada.page.setViewportSize({ width: 390, height: 420 });
  await expect(ada.chat.message("Line 40")).toBeInViewport({ ratio: 1 });
});

test(
  "one WebSocket serves a tab across all pages, and messages sent meanwhile are there",
  { tag: "@nodes" },
  async ({ join }) => {
    const [ada, grace] = [await join("Ada"), await join("Grace")];
    const sockets: string[] = [];
    ada.page.on("websocket", (socket) => sockets.push(socket.url()));
    const { page } = ada;
    const menu = page.getByRole("navigation", { name: "Main" });
    await ada.open("/chat/general");
    for (const [link, heading] of [
      ["News", "Latest news"],
      ["Calls", "Calls"],
      ["Chat", "Choose a room"],
    ] as const) {
      await menu.getByRole("link", { name: link }).click();
      await expect(page.getByRole("heading", { name: heading, exact: true })).toBeVisible();
      await grace.chat.sendMessage(`While you were at ${link}`);
      await grace.chat.expectAllAcknowledged();
    }
    await page.locator(".account-link").click();
    await expect(page.getByRole("heading", { name: "Settings" })).toBeVisible();
    await menu.getByRole("link", { name: "Chat" }).click();
    await ada.chat.roomLink("General").click();
    await expect(ada.chat.timeline.locator(".message-text")).toHaveText([
      "While you were at News",
      "While you were at Calls",
      "While you were at Chat",
    ]);
    await ada.chat.sendMessage("Here again");
    await expect(grace.chat.message("Here again")).toBeVisible();
    expect(sockets).toHaveLength(1);
  },
);

test(
  "a room created by the administrator appears to everybody at once",
  { tag: "@nodes" },
  async ({ joinAsAdministrator, join }) => {
    const ada = await join("Ada");
    await expect(ada.page.getByText("New room")).toHaveCount(0);
    const portia = await joinAsAdministrator({ startPath: "/chat/general" });
    await portia.page.getByText("New room").click();
    await portia.page.getByLabel("Name").fill("Harbour watch");
    await portia.page.getByRole("button", { name: "Create room" }).click();
    await expect(portia.page.getByRole("heading", { level: 1, name: "Harbour watch" })).toBeVisible();
    portia.browserErrors.allow(/fn\/create-room|status of 500/, "the name is taken");
    await portia.page.getByText("New room").click();
    await portia.page.getByLabel("Name").fill("harbour WATCH");
    await portia.page.getByRole("button", { name: "Create room" }).click();
    await expect(portia.page.getByText("A room with that name")).toBeVisible();
    await ada.chat.roomLink("Harbour watch").click();
    await expect(ada.page.getByRole("heading", { level: 1, name: "Harbour watch" })).toBeVisible();
    await expect(ada.page.getByText("No messages yet")).toBeVisible();
    await portia.waitUntilConnected();
    await portia.chat.sendMessage("Welcome");
    await expect(ada.chat.message("Welcome")).toBeVisible();
  },
);

test(
  "a direct room is visible to two people only, and its messages count as unread",
  { tag: "@nodes" },
  async ({ join }) => {
    const [ada, grace, eve] = [await join("Ada"), await join("Grace"), await join("Eve")];
    await ada.chat.openDirectRoom("Grace");
    await ada.waitUntilConnected();
    await ada.chat.sendMessage("For your eyes only");
    await expect(grace.chat.roomLink("Ada").locator(".badge")).toHaveText("1 unread");
    await grace.chat.roomLink("Ada").click();
    await expect(grace.chat.message("For your eyes only")).toBeVisible();
    await grace.chat.sendMessage("I see");
    await expect(ada.chat.message("I see")).toBeVisible();
    await expect(eve.chat.roomLink("Ada"), "others do not see the room").toHaveCount(0);
    eve.browserErrors.allow(/404|500/, "others may not open the room");
    await eve.open(new URL(ada.page.url()).pathname);
    await expect(eve.page.getByText("does not exist, or you do not have access to it")).toBeVisible();
    await expect(eve.page.getByText("For your eyes only")).toHaveCount(0);
  },
);

test("the author menu of a message opens a direct room", async ({ join }) => {
  const [ada, grace] = [await join("Ada"), await join("Grace")];
  await grace.chat.sendMessage("Write to me");
  await ada.chat.message("Write to me").locator("summary").click();
  await ada.chat.message("Write to me").getByRole("button", { name: "Message", exact: true }).click();
  await expect(ada.page.getByRole("heading", { level: 1, name: "Grace" })).toBeVisible();
});

test("the author menu is in full view, and closes on Escape, on a click elsewhere and on loss of focus", async ({
  join,
}) => {
  const [ada, grace] = [await join("Ada"), await join("Grace")];
  await sendAcknowledged(ada, numberedTexts(40));
  await sendAcknowledged(grace, ["Last"]);
  const { page, chat } = ada;
  const summary = chat.message("Last").locator("summary");
  const menu = chat.message("Last").locator(".person-menu-actions");
  await expect(chat.message("Last")).toBeInViewport({ ratio: 1 });
  const open = async () => {
    await summary.click();
    await expect(menu).toBeInViewport({ ratio: 1 });
  };
  await open();
  await page.keyboard.press("Escape");
  await expect(menu).toBeHidden();
  await expect(summary).toBeFocused();
  await open();
  await chat.message("Line 40").locator(".message-text").click();
  await expect(menu).toBeHidden();
  await open();
  for (const name of ["Message", "Call Grace", "Video call Grace", "Block Grace"]) {
    await page.keyboard.press("Tab");
    await expect(menu.getByRole("button", { name, exact: true })).toBeFocused();
  }
  await page.keyboard.press("Tab");
  await expect(menu).toBeHidden();
});

test("the focus stays where it is when messages arrive and presence changes", async ({ join }) => {
  const [ada, grace] = [await join("Ada", { startPath: "/chat" }), await join("Grace")];
  const room = ada.chat.roomLink("General");
  await room.focus();
  await grace.chat.sendMessage("One");
  await expect(room.locator(".badge")).toHaveText("1 unread");
  await expect(room).toBeFocused();
  const person = ada.chat.personRow("Grace");
  const write = person.getByRole("button", { name: "Message Grace" });
  await write.focus();
  await grace.setVisibility(false);
  await expect(person.locator(".presence-dot.away")).toBeVisible();
  await expect(write).toBeFocused();
});

test("an upload continues in another room, and leaving the site asks for confirmation", async ({ join }) => {
  const [ada, grace] = [await join("Ada"), await join("Grace")];
  const { page } = ada;
  const buffer = Buffer.alloc(20_000_000, "rialto");
  await ada.chat.sendFiles({ name: "long.bin", mimeType: "application/octet-stream", buffer });
  await expect(page.locator(".upload progress")).toBeVisible();
  await ada.chat.openDirectRoom("Grace");
  // Offline, the upload cannot finish before the dialog opens.
  await ada.goOffline();
  await ada.chat.composer.click();
  const opened = page.waitForEvent("dialog");
  await page.close({ runBeforeUnload: true });
  const dialog = await opened;
  expect(dialog.type()).toBe("beforeunload");
  await dialog.dismiss();
  await ada.goOnline();
  await expect(grace.chat.messages.getByRole("link", { name: /long\.bin/ })).toBeVisible({ timeout: 30_000 });
});

test("a direct room that opens late does not replace the room that was chosen meanwhile", async ({ join }) => {
  const [ada] = [await join("Ada", { startPath: "/chat" }), await join("Grace")];
  const { page, chat } = ada;
  let release: () => void = () => undefined;
  const held = new Promise<void>((done) => (release = done));
  await page.route("**/fn/open-direct", async (route) => {
    await held;
    await route.continue();
  });
  const answered = page.waitForResponse("**/fn/open-direct");
  await chat.rooms.getByRole("button", { name: "Message Grace" }).click();
  await chat.roomLink("General").click();
  await expect(chat.composer).toBeVisible();
  release();
  await (await answered).finished();
  await chat.sendMessage("Still in General");
  await chat.expectAllAcknowledged();
  await expect(page).toHaveURL(/\/chat\/general$/);
});

test("the button that creates a room keeps the focus when the name is taken", async ({ joinAsAdministrator }) => {
  const { page, browserErrors } = await joinAsAdministrator({ startPath: "/chat/general" });
  browserErrors.allow(/fn\/create-room|status of 4\d\d/, "the name is taken");
  await page.getByText("New room").click();
  await page.getByLabel("Name").fill("General");
  const create = page.getByRole("button", { name: "Create room" });
  await create.press("Enter");
  await expect(page.getByText("A room with that name")).toBeVisible();
  await expect(create).toBeFocused();
});

test("a direct room that fails to open shows why beside the button, and opens on retry", async ({ join }) => {
  const [ada, grace] = [await join("Ada"), await join("Grace")];
  const { page, chat, browserErrors } = ada;
  browserErrors.allow(/ERR_FAILED/, "requests for direct rooms are blocked");
  const openDirectUrl = /\/fn\/open-direct$/;
  await page.route(openDirectUrl, (route) => route.abort());
  await sendAcknowledged(ada, numberedTexts(40));
  await sendAcknowledged(grace, ["Last"]);
  const menu = chat.message("Last").locator(".person-menu-actions");
  await chat.message("Last").locator("summary").click();
  await menu.getByRole("button", { name: "Message", exact: true }).click();
  await expect(menu).toContainText("The server could not be reached");
  await expect(menu).toBeInViewport({ ratio: 1 });
  await chat.rooms.getByRole("button", { name: "Message Grace" }).click();
  await expect(chat.rooms.getByRole("alert")).toContainText("The server could not be reached");
  await page.unroute(openDirectUrl);
  await chat.openDirectRoom("Grace");
  await expect(chat.rooms.getByRole("alert")).toHaveCount(0);
});
